"""Access: the token of a request, and the organization that it is for."""

from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request

from ingest.api import connections
from ingest.api.metrics import Counts
from ingest.api.problem import Problem
from ledger.errors import TallyError
from ledger.home.tokens import Role, Token, Tokens

RETRY_DELAY_S = 1
TOKENS_RETRY_DELAY_S = 10
"""The delay of a retry where tokens cannot be read, which a person must repair."""


class Access:
    """The tokens of a home, by which requests are let in."""

    def __init__(self, home: Path, counts: Counts) -> None:
        self._tokens, self._counts = Tokens(home), counts
        self._tokens_problem: str | None = None

    def authorize(self, request: Request, roles: tuple[Role, ...]) -> tuple[Token, str]:
        """Return the token of a request that has one of these roles, and the organization that it is for."""
        token = self.authenticate(request)
        if not set(roles) & set(token.roles):
            raise _role_problem(token, roles[0])
        return token, _choose_organization(request, token)

    def authenticate(self, request: Request) -> Token:
        """Return the token of a request. Problem where it has none that is valid."""
        scheme, _, bearer = (get_header(request, "authorization") or "").partition(" ")
        token = self._find_token(bearer.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            self._counts.count_unauthenticated()
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "no valid token: send `Authorization: Bearer TOKEN`, and make one with `tally token create`",
            )
        connection = request.scope.get("state", {}).get(connections.STATE_KEY)
        if connection is not None and not connection.assign_to(token.id):
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"the token {token.id} has {connections.MAX_TOKEN_CONNECTIONS} connections under way: "
                "reuse them, or wait until some end",
                RETRY_DELAY_S,
            )
        return token

    def is_valid(self, token: Token) -> bool:
        """Tell whether a token is not revoked since. FileDamaged where the tokens cannot be read."""
        return self._tokens.is_valid(token)

    def _find_token(self, bearer: str) -> Token | None:
        """Return the token of this text. Problem 503 where the home's tokens cannot be read: the sender is not known
        yet, so the reason and its place stand in the log of the API and in `tally status`, not in the answer."""
        try:
            token = self._tokens.find(bearer)
            self._tokens_problem = None
            return token
        except TallyError as error:
            if str(error) != self._tokens_problem:  # once, not with every request
                print(f"all requests are refused, since the tokens cannot be read: {error}", flush=True)
            self._tokens_problem = str(error)
            detail = "the tokens of this home cannot be read now: `tally status` of its operator says why"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, TOKENS_RETRY_DELAY_S) from None


def get_header(request: Request, name: str, separator: str | None = None) -> str | None:
    """Return the value of a header. Problem where it is given twice and ``separator`` does not join its values: a proxy
    before us may have judged by the other."""
    values = request.headers.getlist(name)
    if len(values) > 1 and separator is None:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the header {name} is given {len(values)} times: send it once")
    return (separator or "").join(values) if values else None


def _choose_organization(request: Request, token: Token) -> str:
    """Return the organization that the request is for. Problem where the token does not allow it."""
    name = get_header(request, "tally-organization")
    if name is None and len(token.organizations) == 1:
        return token.organizations[0]
    if name is None:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"the token is for {len(token.organizations)} organizations: name one in the header Tally-Organization",
        )
    if name not in token.organizations:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"the token {token.id} is not for the organization {name[:100]!r}: `tally token create --organization` "
            "makes one that is",
        )
    return name


def _role_problem(token: Token, role: Role) -> Problem:
    return Problem(
        HTTPStatus.FORBIDDEN,
        f"the token {token.id} has the roles {', '.join(token.roles)}, and this takes {role}: "
        f"`tally token create --role {role}` makes one that has it",
    )
