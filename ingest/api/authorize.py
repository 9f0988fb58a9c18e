"""``/v1/authorize``: an ask in the headers of a request, and the answer in those of the response, for proxies that
authorize by a request of their own (Envoy's ``ext_authz`` over HTTP, nginx's ``auth_request``)."""

import uuid
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response

from ingest.api.admissions import Asks
from ingest.api.event_headers import ID
from ingest.api.problem import Problem, render_problem
from tallystick.vocabulary.attribute_names import HEADER_PREFIX, field_of_header, header_name
from tallystick.vocabulary.request import Admission

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""A proxy asks with the method of the request that it holds."""
ASK_FIELDS = tuple(name for name in Admission.model_fields if name not in ("action", "admission"))
COUNTS = frozenset(("input_tokens", "max_tokens", "calls", "ttl_s"))
REFUSAL_STATUS = f"{HEADER_PREFIX}Refusal-Status"
ANSWERED = {
    "admission": "Admission", "answer": "Answer", "model": "Model", "reason": "Reason", "retryable": "Retryable",
    "grant": "Grant", "limit": "Limit", "left": "Left", "refills_at": "Refills-At", "granted_by": "Granted-By",
    "detail": "Detail",
}  # fmt: skip
"""The members of an answer that its headers carry, and the end of each header's name."""
_FIELDS_BY_HEADER = {header_name(field).lower(): field for field in ASK_FIELDS}


def read_ask(headers: Headers) -> Asks:
    """Read the ask of a request's headers. Problem where one that is ours is given twice, or names no field: an ask
    without its scope would be allowed."""
    prefix = HEADER_PREFIX.lower()
    ask: dict[str, Any] = {"id": str(uuid.uuid4())}
    for name in {name for name in headers if name.startswith(prefix)} - {REFUSAL_STATUS.lower()}:
        values = headers.getlist(name)
        if len(values) > 1:
            raise Problem(
                HTTPStatus.BAD_REQUEST, f"the header {name[:100]!a} is given {len(values)} times: send it once"
            )
        field = "id" if name == ID.lower() else _FIELDS_BY_HEADER.get(name)
        if field is not None:
            ask[field] = _read_value(field, values[0])
        elif field_of_header(name) is None:
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                f"the header {name[:100]!a} names no field of an ask: send {', '.join(map(header_name, ASK_FIELDS))}",
            )
    return Asks([ask], True)


def read_refusal_status(headers: Headers) -> HTTPStatus | None:
    """Return the one status that all refusals are to have; None where each has its own."""
    text = headers.get(REFUSAL_STATUS)
    if text is None:
        return None
    if text not in ("401", "403"):
        raise Problem(HTTPStatus.BAD_REQUEST, f"the header {REFUSAL_STATUS} is {text[:20]!a}: send 403, or 401")
    return HTTPStatus(int(text))


def render_answer(answer: dict[str, Any], refusal_status: HTTPStatus | None) -> Response:
    """Render an answer in headers; a refusal is a problem document too, with ``refusal_status`` where that is given."""
    status = HTTPStatus(answer["status"])
    response = _render_body(answer, status, refusal_status)
    for member, end in ANSWERED.items():
        if answer.get(member) is not None:
            response.headers[f"{HEADER_PREFIX}{end}"] = _write_value(answer[member])
    return response


def _render_body(answer: dict[str, Any], status: HTTPStatus, refusal_status: HTTPStatus | None) -> JSONResponse:
    members = {name: value for name, value in answer.items() if name != "status"}
    if status is HTTPStatus.OK:
        return JSONResponse(members)
    detail = members.pop("detail")
    if refusal_status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR:
        status = refusal_status
    return render_problem(Problem(status, detail, members.get("retry_after_s"), **members))


def _read_value(field: str, text: str) -> str | int:
    """Return the value of a field. A count that is none stays text, which the intake refuses by its name."""
    if field in COUNTS and text.isascii() and text.isdecimal() and len(text) < 20:
        return int(text)
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def _write_value(value: Any) -> str:
    """Write a header's value: UTF-8, as Latin-1 since servers take that; without characters that end a header."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return "".join(character if character.isprintable() else "?" for character in text).encode().decode("latin-1")
