"""Tokens: the right to write, read and decide over HTTP, and for which organizations. A home keeps their hashes
alone."""

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
from ledger.home.files import access_error, read_json, write_atomically
from ledger.home.layout import TOKENS
from ledger.home.locks import locked
from ledger.organizations import check_organization

Role = Literal["write", "read", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
_PREFIX = "tally"


class Token(NamedTuple):
    """A token: ``write`` facts, ``read`` their outcomes, ``admin`` for control records. Times are UTC."""

    id: str
    organizations: tuple[str, ...]
    roles: tuple[Role, ...]
    created: str
    revoked: str | None
    hash: str


def create_token(home: Path, organizations: Sequence[str], roles: Sequence[Role]) -> tuple[Token, str]:
    """Create a token, and return it with its bearer, which is shown once. TallyError where an organization's name is
    invalid."""
    for organization in organizations:
        check_organization(organization, "--organization", "have a token")
    id, secret = secrets.token_hex(4), secrets.token_urlsafe(24)
    bearer = f"{_PREFIX}_{id}_{secret}"
    ordered_roles = tuple(role for role in ROLES if role in roles)
    token = Token(id, tuple(dict.fromkeys(organizations)), ordered_roles, _now(), None, _hash(bearer))
    with _lock_file(home):
        _write(home, [*list_tokens(home), token])
    return token, bearer


def list_tokens(home: Path) -> list[Token]:
    """List all tokens of a home, also revoked ones, in the order of their creation. FileDamaged where they cannot be
    read."""
    return read_json(home, TOKENS, _parse_tokens) or []


def revoke_token(home: Path, id: str) -> Token:
    """Revoke a token, effective with the next request. TallyError where no token has this id."""
    with _lock_file(home):
        tokens = list_tokens(home)
        token = next((each_token for each_token in tokens if each_token.id == id), None)
        if token is None:
            raise TallyError(f"{home} has no token {id!r}: `tally token list` shows their ids")
        revoked = token if token.revoked else token._replace(revoked=_now())
        _write(home, [revoked if each_token.id == id else each_token for each_token in tokens])
    return revoked


class Tokens:
    """The tokens of a home as they are now: the file is read again when it was changed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._version: tuple[int, int] | None = None
        self._by_id: dict[str, Token] = {}

    def find(self, bearer: str) -> Token | None:
        """Find the token of a bearer; None where it is unknown or revoked. FileDamaged where the file cannot be read:
        nobody is admitted by its earlier content."""
        self._reload()
        _, _, suffix = bearer.partition("_")
        token = self._by_id.get(suffix.partition("_")[0])
        # A token is 24 random bytes: its hash needs no salt, and need not be slow.
        if token is None or token.revoked or not hmac.compare_digest(token.hash, _hash(bearer)):
            return None
        return token

    def is_valid(self, token: Token) -> bool:
        """Tell whether a token that was found is not revoked since. FileDamaged as above."""
        self._reload()
        return self._by_id.get(token.id) == token

    def _reload(self) -> None:
        try:
            status = TOKENS.path(self._home).stat()
        except FileNotFoundError:
            self._by_id, self._version = {}, None
            return
        except OSError as error:
            raise access_error(TOKENS.path(self._home), error) from error
        if (version := (status.st_ino, status.st_mtime_ns)) != self._version:
            self._by_id = {token.id: token for token in list_tokens(self._home)}
            self._version = version


def _lock_file(home: Path) -> Any:
    return locked(home / "run" / "tokens.lock")


def _write(home: Path, tokens: Iterable[Token]) -> None:
    write_atomically(TOKENS.path(home), json.dumps([token._asdict() for token in tokens], indent=1))


def _parse_tokens(content: Any) -> list[Token]:
    return [msgspec.convert(tuple(Token(**token)), Token) for token in content]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _hash(bearer: str) -> str:
    return hashlib.sha256(bearer.encode()).hexdigest()
