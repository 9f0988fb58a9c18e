"""Tokens: who may send and decide over HTTP, and for which organizations. A home keeps their hashes alone."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import msgspec

from ledger.errors import TallyError
from ledger.home.files import read_json, unusable, write_atomically
from ledger.home.layout import TOKENS
from ledger.home.locks import locked
from ledger.organizations import check_organization

Role = Literal["write", "read", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
_PREFIX = "tally"


class Token(NamedTuple):
    """What a token allows: ``write`` facts, ``read`` what became of them, ``admin`` decisions. Times are UTC."""

    id: str
    organizations: tuple[str, ...]
    roles: tuple[Role, ...]
    created: str
    revoked: str | None
    hash: str


def create(home: Path, organizations: Sequence[str], roles: Sequence[Role]) -> tuple[Token, str]:
    """A new token, and the one time that it is told. TallyError where an organization cannot have one."""
    for organization in organizations:
        check_organization(organization, "--organization", "have a token")
    id, secret = secrets.token_hex(4), secrets.token_urlsafe(24)
    bearer = f"{_PREFIX}_{id}_{secret}"
    wanted = tuple(role for role in ROLES if role in roles)
    token = Token(id, tuple(dict.fromkeys(organizations)), wanted, _now(), None, _hash(bearer))
    with _changing(home):
        _write(home, [*listed(home), token])
    return token, bearer


def listed(home: Path) -> list[Token]:
    """All tokens that a home ever made, in the order of their making. FileDamaged where they cannot be read."""
    return read_json(home, TOKENS, _tokens) or []


def revoke(home: Path, id: str) -> Token:
    """Have a token be of no use from now on. TallyError where there is none of this id."""
    with _changing(home):
        tokens = listed(home)
        found = next((token for token in tokens if token.id == id), None)
        if found is None:
            raise TallyError(f"{home} has no token {id!r}: `tally token list` tells their ids")
        revoked = found if found.revoked else found._replace(revoked=_now())
        _write(home, [revoked if token.id == id else token for token in tokens])
    return revoked


class Tokens:
    """The tokens of a home as they are at each moment: the file is read again when it was changed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._seen: tuple[int, int] | None = None
        self._by_id: dict[str, Token] = {}

    def find(self, bearer: str) -> Token | None:
        """The token that somebody showed; None where it is none of ours, or revoked. FileDamaged where the file
        cannot be read: nobody is let in by what it said before."""
        self._look()
        _, _, rest = bearer.partition("_")
        token = self._by_id.get(rest.partition("_")[0])
        # A token is 24 random bytes: its hash needs no salt, and need not be slow.
        if token is None or token.revoked or not hmac.compare_digest(token.hash, _hash(bearer)):
            return None
        return token

    def _look(self) -> None:
        try:
            found = TOKENS.path(self._home).stat()
        except FileNotFoundError:
            self._by_id, self._seen = {}, None
            return
        except OSError as error:
            raise unusable(TOKENS.path(self._home), error) from error
        if (seen := (found.st_ino, found.st_mtime_ns)) != self._seen:
            self._by_id = {token.id: token for token in listed(self._home)}
            self._seen = seen


def _changing(home: Path) -> Any:
    return locked(home / "run" / "tokens.lock")


def _write(home: Path, tokens: Iterable[Token]) -> None:
    write_atomically(TOKENS.path(home), json.dumps([token._asdict() for token in tokens], indent=1))


def _tokens(content: Any) -> list[Token]:
    return [msgspec.convert(tuple(Token(**token)), Token) for token in content]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _hash(bearer: str) -> str:
    return hashlib.sha256(bearer.encode()).hexdigest()
