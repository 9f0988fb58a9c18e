"""``POST /v1/leases``: slices of grants for holders that admit calls in memory, asked for and returned through the
log."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import JSONResponse, Response

from ingest.api import admissions, body
from ingest.api.problem import Problem, render_problem
from ingest.api.replies import Reply
from ingest.intake.intake import decode
from ingest.moments import write_time
from ingest.requests import build_lease_event
from ledger.log import Position
from ledger.outcomes import CONFLICT

JSON = admissions.JSON
KINDS = body.Kinds((JSON,), f"send what is asked for or returned, as {JSON}")
AMOUNTS = ("billed", "notional", "currency", "tokens", "calls")
REASONS = {
    **admissions.REASONS,
    "limit": "nothing of limit {limit} of grant {grant!r} is left to lease",
    "unmeasured": "limit {limit} of grant {grant!r} counts what this lease names no amount of: name one",
    "currency": "limit {limit} of grant {grant!r} is in another currency: ask for an amount in that",
    "no grant": "no scope of this lease holds any grant: its calls need no admission",
}
"""A sentence for each reason of a refusal."""


def build_ask(raw: bytes, now: datetime) -> dict[str, Any]:
    """Build the event of a lease that is asked for: ``id`` is the event's, and all else its data. Problem where the
    body is no ask."""
    document = _read_object(raw)
    foreign = next((name for name in ("action", "lease") if name in document), None)
    if foreign is not None:
        detail = f"{foreign} is not asked here: `POST /v1/leases/ID/return` returns a lease"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, field=foreign)
    id = document.pop("id", str(uuid.uuid4()))
    return build_lease_event(id, document, now)


def build_return(lease: str, raw: bytes, now: datetime) -> dict[str, Any]:
    """Build the event that returns amounts of a lease. Problem where the body has anything else."""
    document = _read_object(raw)
    foreign = next((name for name in document if name not in (*AMOUNTS, "id")), None)
    if foreign is not None:
        detail = f"{foreign[:100]!r} is no amount: a return has {', '.join(AMOUNTS)}, of what is not used"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, field=foreign[:100])
    id = document.pop("id", str(uuid.uuid4()))
    return build_lease_event(id, document | {"action": "return", "lease": lease}, now)


def render_lease(lease: str, position: Position, reply: Reply | None, now: datetime) -> Response:
    """Render the reply to an ask for a lease. Problem where none is given, or no reply came in time."""
    decision = _read_decision(f"the lease {lease!r}", position, reply)
    told = admissions.select_told(decision)
    content = {name: value for name, value in told.items() if not name.endswith("_us") and value is not None}
    for field, name in (("admits_until_us", "admits_until"), ("expires_us", "expires_at"), ("refill_us", "refills_at")):
        if decision.get(field) is not None:
            content[name] = write_time(decision[field])
    if "reason" not in decision:
        return JSONResponse(content)
    detail = admissions.explain_refusal(decision, REASONS)
    if decision["reason"] == "duplicate":
        return render_problem(Problem(HTTPStatus.CONFLICT, detail, **content))
    if not decision["retryable"]:
        return render_problem(Problem(HTTPStatus.FORBIDDEN, detail, **content))
    delay_s = admissions.find_retry_delay_s(decision, now)
    return render_problem(Problem(HTTPStatus.TOO_MANY_REQUESTS, detail, delay_s, retry_after_s=delay_s, **content))


def render_return(lease: str, position: Position, reply: Reply | None) -> Response:
    """Render the reply to a return: what was taken back of each limit. Problem where nothing can be."""
    decision = _read_decision(f"the return of the lease {lease!r}", position, reply)
    if decision.get("reason") == "no lease":
        detail = (
            f"no lease {lease!r} holds anything: it has expired, or this organization never had one of this name: name "
            "the `lease` of the answer"
        )
        raise Problem(HTTPStatus.NOT_FOUND, detail, lease=lease)
    if decision.get("reason") == "currency":
        detail = f"the lease {lease!r} is of another currency, and nothing is returned: return amounts in its own"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, lease=lease, field="currency")
    return JSONResponse({"lease": lease, "returned": decision["returned"]})


def _read_decision(request: str, position: Position, reply: Reply | None) -> Mapping[str, Any]:
    """Return the folds' decision on a request. Problem where there is none."""
    if reply is not None and reply.body is not None:
        return reply.body
    if reply is not None and reply.outcome == CONFLICT:
        raise Problem(HTTPStatus.CONFLICT, f"the id of {request} has asked for something else already: use another id")
    if reply is not None:
        place = f"GET /v1/events/{position.partition}/{position.offset}"
        detail = f"the folds did not judge {request} ({reply.outcome}: {reply.detail}): {place} has its outcome"
        raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)
    raise Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"no answer to {request} within {admissions.REPLY_TIMEOUT_S} s: the folds are behind partition "
        f"{position.partition}, offset {position.offset} of tally.events. It stands: ask again with this id for its "
        "answer",
        admissions.RETRY_DELAY_S,
    )


def _read_object(raw: bytes) -> dict[str, Any]:
    if body.is_too_long(raw):
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has {len(raw):,} bytes: send one lease")
    try:
        document = decode(raw or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(HTTPStatus.BAD_REQUEST, "the body is not JSON: send an object") from None
    if not isinstance(document, dict):
        raise Problem(HTTPStatus.BAD_REQUEST, "the body is not a JSON object: send one")
    return document
