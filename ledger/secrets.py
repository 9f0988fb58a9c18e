"""Secrets of a home: the keys of the organizations' pseudonyms, and passwords of its own."""

import hashlib
import hmac
import json
import secrets
from functools import lru_cache
from pathlib import Path

from ledger.home import locked, write_atomically


def secret(home: Path, name: str) -> str:
    """The secret of this name, made at its first use and kept with the home."""
    path = home / "secrets.json"
    with locked(home / "run" / "secrets.lock"):
        kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if name not in kept:
            kept[name] = secrets.token_hex(24)
            write_atomically(path, json.dumps(kept, indent=1), 0o600)
        return kept[name]


@lru_cache(maxsize=10_000)  # the same persons call again and again
def pseudonym(key: str, value: str) -> str:
    """A name that says nothing to who lacks the organization's key; the same value gives the same one."""
    keyed = _keyed(key).copy()
    keyed.update(value.encode())
    return "p_" + keyed.hexdigest()[:24]


@lru_cache(maxsize=1_000)
def _keyed(key: str) -> hmac.HMAC:
    return hmac.new(key.encode(), digestmod=hashlib.sha256)
