"""Secrets of a home: the keys of the organizations' pseudonyms, and passwords of its own."""

import hashlib
import hmac
import json
import secrets
from functools import lru_cache
from pathlib import Path
from typing import Any

from ledger.home.files import damage_error, read_json, write_atomically
from ledger.home.layout import SECRETS
from ledger.home.locks import locked
from ledger.home.persons import has_persons

PSEUDONYM_PREFIX = "pseudonym:"
"""The prefix of the names of the organizations' keys."""


def ensure_secret(home: Path, name: str) -> str:
    """Return the secret of this name, created at its first use and kept with the home.

    FileDamaged where the file cannot be read, or has no key for an organization with pseudonyms in the home: a new key
    would make other pseudonyms of the same persons."""
    with locked(home / "run" / "secrets.lock"):
        values = read_json(home, SECRETS, _parse_secrets) or {}
        if name not in values:
            organization = name.removeprefix(PSEUDONYM_PREFIX)
            if organization != name and has_persons(home, organization):
                raise damage_error(
                    home, SECRETS, f"the key of {organization!r} is missing, whose pseudonyms persons.db holds"
                )
            values[name] = secrets.token_hex(24)
            write_atomically(SECRETS.path(home), json.dumps(values, indent=1))
        return values[name]


def read_secret(home: Path, name: str) -> str | None:
    """Return the secret of this name; None where it was never used. Nothing is created. FileDamaged where the file
    cannot be read."""
    return (read_json(home, SECRETS, _parse_secrets) or {}).get(name)


def _parse_secrets(content: Any) -> dict[str, str]:
    values = dict(content)
    if not isinstance(content, dict) or not all(isinstance(value, str) and value for value in values.values()):
        raise TypeError("it is no object of texts")
    return values


@lru_cache(maxsize=10_000)  # the same persons call again and again
def pseudonym(key: str, value: str) -> str:
    """Make the pseudonym of a name. It reveals nothing without the organization's key, and is the same for the same
    name."""
    mac = _begin_mac(key).copy()
    mac.update(value.encode())
    return "p_" + mac.hexdigest()[:24]


@lru_cache(maxsize=1_000)
def _begin_mac(key: str) -> hmac.HMAC:
    return hmac.new(key.encode(), digestmod=hashlib.sha256)
