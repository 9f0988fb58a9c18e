"""``POST /v1/admissions``: may these calls be made? Asks as events for the log, and the folds' replies as answers."""

import math
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
from starlette.responses import JSONResponse, Response

from ingest.api import body
from ingest.api.accept_events import work_in_turns
from ingest.api.problem import Problem, render_problem
from ingest.api.replies import Reply
from ingest.intake.intake import decode
from ingest.intake.rejection import Rejection
from ingest.leases.holdings import Admitted, Conflict
from ingest.moments import EPOCH, write_time
from ingest.requests import build_admission_event
from ledger.log import Position
from ledger.money import brief
from ledger.outcomes import CONFLICT

JSON = "application/json"
KINDS = body.Kinds((JSON,), f"send an ask, or a list of asks, as {JSON}")
MAX_ASKS = 500
"""Asks of a request: what one record of the log holds."""
REPLY_TIMEOUT_S = 10
RETRY_DELAY_S = 1
"""The delay of a retry where calls under way are in the way, or no reply came in time."""
_UNTOLD = frozenset(("asked", "needed"))
"""Parts of a decision that are for tables: the caller knows them."""
REASONS = {
    "limit": "grant {grant!r} has {left} left of its limit {limit}, and this call may take more",
    "floor": "grant {grant!r} keeps {kept} of its limit {limit} for grants with a floor there ({detail}), and has "
    "{left} left for others",
    "reserved": "calls under way hold what grant {grant!r} has left of its limit {limit}",
    "unpriced": "limit {limit} of grant {grant!r} needs the greatest cost of the call: send input_tokens, max_tokens, "
    "and provider and model as the price book names them",
    "unknown usage": "limit {limit} of grant {grant!r} admits nothing while its window holds a call of unknown usage",
    "currency": "grant {grant!r} has limits in {detail} alone, and the price of this call is in another currency",
    "outside": "grant {grant!r} does not allow this call by its {detail}",
    "revoked": "grant {grant!r} is revoked",
    "not started": "grant {grant!r} has not started yet",
    "expired": "grant {grant!r} has expired",
    "paused": "grant {grant!r} is paused",
    "not held": "no scope of this ask holds grant {grant!r}: name another, or none",
    "duplicate": "another source asked with this id: ask with another id",
}
"""A sentence for each reason of a refusal. Its fields are those of the decision."""


class Asks(NamedTuple):
    """The asks of a body, each an object or its rejection; ``is_single`` where the body is one ask."""

    items: list[Any]
    is_single: bool


class LoggedAsk(NamedTuple):
    """An ask on the log: who asked, and its fields."""

    organization: str
    principal: str
    fields: Mapping[str, Any]


class Pending(NamedTuple):
    """Asks that stand on the log, were rejected, or were answered from a lease: their ids, the result of each, and
    those that stand on the log."""

    ids: list[str]
    results: list[Any]
    asks: Mapping[Position, LoggedAsk]
    is_single: bool

    @property
    def positions(self) -> list[Position]:
        return list(self.asks)


def read_asks(raw: bytes, content_type: str) -> Asks:
    """Read the asks of a body, in turns with other requests. Problem where it is no JSON, or has too many."""
    events = body.split_events(raw, content_type)
    if not 1 <= len(events.raw) <= MAX_ASKS:
        status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if events.raw else HTTPStatus.BAD_REQUEST
        way_out = "send several requests" if events.raw else "send an ask, or a list of asks"
        raise Problem(status, f"the body has {len(events.raw):,} asks, and may have 1 to {MAX_ASKS:,}: {way_out}")
    return Asks([_give_id(ask) for ask in work_in_turns(map(_decode, events.raw))], events.single)


def read_id(ask: Any) -> str:
    """Return the id of an ask, which is its admission's name; the empty string where it has none that can be one."""
    id = ask.get("id") if isinstance(ask, dict) else None
    return id if isinstance(id, str) else ""


def build_request_events(asks: Asks, now: datetime) -> Iterator[dict[str, Any] | Rejection]:
    """Build the events of asks: ``id`` is the event's, and all else its data."""
    for ask in asks.items:
        if not isinstance(ask, dict):
            yield Rejection("", "is not a JSON object: send the fields of a call, such as model and team", ask)
            continue
        foreign = next((name for name in ("action", "admission") if name in ask), None)
        if foreign is not None:
            yield Rejection(foreign, "is not asked here: `DELETE /v1/admissions/ID` releases an admission", ask)
            continue
        yield build_admission_event(ask["id"], {name: value for name, value in ask.items() if name != "id"}, now)


def build_release(admission: str, now: datetime) -> dict[str, Any]:
    """Build the event that releases an admission."""
    return build_admission_event(str(uuid.uuid4()), {"action": "release", "admission": admission}, now)


def describe_answers(pending: Pending, replies: Mapping[Position, Reply], now: datetime) -> list[dict[str, Any]]:
    """Describe the answer to each ask, with its status."""
    answers = []
    for id, result in zip(pending.ids, pending.results, strict=True):
        if isinstance(result, Admitted):
            answers.append(_describe_decision(result.describe(), now))
        elif isinstance(result, Conflict):
            answers.append(_describe_conflict(id))
        elif "reason" in result:
            answers.append(describe_rejection(result))
        else:
            position = Position(**result)
            answers.append(describe_reply(id, position, replies.get(position), now))
    return answers


def describe_rejection(result: Mapping[str, str]) -> dict[str, Any]:
    field = name_field(result["field"])
    detail = ": ".join(filter(None, (field, result["reason"])))
    return {"status": HTTPStatus.UNPROCESSABLE_ENTITY, "detail": detail, "field": field, "reason": result["reason"]}


def name_field(path: str) -> str:
    """Name a field of an event as the body of a request has it: without ``data``, which the body is."""
    return "" if path == "data" else path.removeprefix("data.")


def describe_reply(id: str, position: Position, reply: Reply | None, now: datetime) -> dict[str, Any]:
    """Describe the reply to an ask. Without one the ask stands, and the same id gets its answer later."""
    content: dict[str, Any] = {"admission": id}
    if reply is None:
        detail = (
            f"no answer within {REPLY_TIMEOUT_S} s: the folds are behind partition {position.partition}, offset "
            f"{position.offset} of tally.events. The ask stands: ask again with this id for its answer"
        )
        return content | {"status": HTTPStatus.SERVICE_UNAVAILABLE, "detail": detail, "retry_after_s": RETRY_DELAY_S}
    if reply.body is not None:
        return content | _describe_decision(reply.body, now)
    if reply.outcome == CONFLICT:
        return _describe_conflict(id)
    place = f"GET /v1/events/{position.partition}/{position.offset}"
    detail = f"the folds did not judge the ask ({reply.outcome}: {reply.detail}): {place} has its outcome"
    return content | {"status": HTTPStatus.INTERNAL_SERVER_ERROR, "detail": detail}


def render_answers(answers: list[dict[str, Any]], *, is_single: bool) -> Response:
    """Render answers: a single one by its status, and a batch as 200 with one answer for each ask."""
    if not is_single:
        return JSONResponse({"answers": answers})
    (answer,) = answers
    status = HTTPStatus(answer.pop("status"))
    if status is HTTPStatus.OK:
        return JSONResponse(answer)
    return render_problem(Problem(status, answer.pop("detail"), answer.get("retry_after_s"), **answer))


def render_released(admission: str) -> Response:
    return JSONResponse({"admission": admission, "released": True})


def render_release(admission: str, position: Position, reply: Reply | None) -> Response:
    """Render the reply to a release. Problem where nothing is reserved, or no reply came in time."""
    if reply is None or reply.body is None:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"no answer within {REPLY_TIMEOUT_S} s: the folds are behind partition {position.partition}, offset "
            f"{position.offset} of tally.events. The release stands, and takes effect there",
            RETRY_DELAY_S,
        )
    if not reply.body["released"]:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"nothing is reserved for the admission {admission!r}: it was settled, released or refused, it expired, or "
            "this organization never asked with this id",
        )
    return render_released(admission)


def list_counted_answers(answers: Iterable[Mapping[str, Any]]) -> list[str]:
    """List the answers for the metric; ``none`` is an ask that got no decision."""
    return [answer.get("answer", "none") for answer in answers]


def _give_id(ask: Any) -> Any:
    return {"id": str(uuid.uuid4())} | ask if isinstance(ask, dict) else ask


def _describe_conflict(id: str) -> dict[str, Any]:
    detail = f"id {id!r} has asked for another call already: ask with another id"
    return {"admission": id, "status": HTTPStatus.CONFLICT, "detail": detail}


def _describe_decision(decision: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    content = _write_times(select_told(decision))
    if "reserved" in decision:
        content["reserved"] = [_write_times(charge) for charge in decision["reserved"]]
    if decision["answer"] in ("allow", "downgrade"):
        return content | {"status": HTTPStatus.OK}
    content["detail"] = explain_refusal(decision)
    if decision["reason"] == "duplicate":
        return content | {"status": HTTPStatus.CONFLICT}
    if not decision["retryable"]:
        return content | {"status": HTTPStatus.FORBIDDEN}
    return content | {"status": HTTPStatus.TOO_MANY_REQUESTS, "retry_after_s": find_retry_delay_s(decision, now)}


def select_told(decision: Mapping[str, Any]) -> dict[str, Any]:
    """Select what the caller is told of a decision."""
    return {name: value for name, value in decision.items() if name not in _UNTOLD}


def explain_reason(decision: Mapping[str, Any], reasons: Mapping[str, str] = REASONS) -> str:
    """Explain why a call is refused."""
    fields: dict[str, Any] = dict.fromkeys(("grant", "limit", "left", "kept", "detail"), "")
    fields |= decision
    for name in ("left", "kept"):
        if isinstance(fields[name], str) and fields[name]:
            fields[name] = brief(fields[name])
    return reasons[decision["reason"]].format_map(fields)


def explain_refusal(decision: Mapping[str, Any], reasons: Mapping[str, str] = REASONS) -> str:
    """Explain why a call is refused, and what helps."""
    sentence = explain_reason(decision, reasons)
    if decision["retryable"]:
        return f"{sentence}: ask again after Retry-After"
    if decision.get("granted_by"):
        return f"{sentence}. {decision['granted_by']} granted it, and can extend it"
    return sentence


def find_retry_delay_s(decision: Mapping[str, Any], now: datetime) -> int:
    if decision.get("refill_us") is None:
        return RETRY_DELAY_S
    delay = EPOCH + timedelta(microseconds=decision["refill_us"]) - now
    return max(RETRY_DELAY_S, math.ceil(delay.total_seconds()))


def _write_times(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Write the moments of fields as RFC 3339 has them, and leave out what is null."""
    content = {name: value for name, value in fields.items() if not name.endswith("_us") and value is not None}
    for field, name in (("expires_us", "expires_at"), ("refill_us", "refills_at")):
        if fields.get(field) is not None:
            content[name] = write_time(fields[field])
    return content


def _decode(raw: bytes) -> Any:
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(HTTPStatus.BAD_REQUEST, "the body is not JSON: send an ask, or a list of asks") from None
