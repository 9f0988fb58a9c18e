"""Tokens: who may send and decide over HTTP, and for which organizations. A home keeps their hashes alone."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from ledger.errors import TallyError
from ledger.home import locked, write_atomically
from ledger.topics import PLATFORM
from tallystick.addresses import replace_addresses
from tallystick.key_shapes import without_keys

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
        if organization == PLATFORM or not 1 <= len(organization) <= 256:
            raise TallyError(f"--organization {organization!r} cannot have a token: name one of 1 to 256 characters")
        if replace_addresses(without_keys(organization), lambda name: "") != organization:
            raise TallyError(
                f"--organization {organization!r} is a key or an e-mail address, which every record would show: choose "
                "another name"
            )
    id, secret = secrets.token_hex(4), secrets.token_urlsafe(24)
    bearer = f"{_PREFIX}_{id}_{secret}"
    wanted = tuple(role for role in ROLES if role in roles)
    token = Token(id, tuple(dict.fromkeys(organizations)), wanted, _now(), None, _hash(bearer))
    with _changing(home):
        _write(home, [*listed(home), token])
    return token, bearer


def listed(home: Path) -> list[Token]:
    """All tokens that a home ever made, in the order of their making."""
    path = _path(home)
    return [_read(one) for one in json.loads(path.read_text())] if path.exists() else []


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
        """The token that somebody showed; None where it is none of ours, or revoked."""
        self._look()
        _, _, rest = bearer.partition("_")
        token = self._by_id.get(rest.partition("_")[0])
        # A token is 24 random bytes: its hash needs no salt, and need not be slow.
        if token is None or token.revoked or not hmac.compare_digest(token.hash, _hash(bearer)):
            return None
        return token

    def _look(self) -> None:
        try:
            found = _path(self._home).stat()
        except FileNotFoundError:
            self._by_id = {}
            return
        if (seen := (found.st_ino, found.st_mtime_ns)) != self._seen:
            self._by_id = {token.id: token for token in listed(self._home)}
            self._seen = seen


def _path(home: Path) -> Path:
    return home / "tokens.json"


def _changing(home: Path) -> Any:
    return locked(home / "run" / "tokens.lock")


def _write(home: Path, tokens: Iterable[Token]) -> None:
    write_atomically(_path(home), json.dumps([token._asdict() for token in tokens], indent=1), 0o600)


def _read(kept: dict[str, Any]) -> Token:
    return Token(**kept | {"organizations": tuple(kept["organizations"]), "roles": tuple(kept["roles"])})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _hash(bearer: str) -> str:
    return hashlib.sha256(bearer.encode()).hexdigest()
