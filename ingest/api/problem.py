"""Problems: the reason of an error response, as ``application/problem+json`` (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse


class Problem(Exception):
    """``detail`` names the thing, the value and the way out; ``members`` are further members of the document."""

    def __init__(self, status: HTTPStatus, detail: str, retry_s: int | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.retry_s = retry_s
        self.members = members


def render_problem(problem: Problem) -> JSONResponse:
    headers = {"X-Content-Type-Options": "nosniff"}
    if problem.retry_s is not None:
        headers["Retry-After"] = str(problem.retry_s)
    if problem.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="tally"'
    document = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": int(problem.status),
        "detail": problem.detail,
    }
    return JSONResponse(document | problem.members, int(problem.status), headers, "application/problem+json")
