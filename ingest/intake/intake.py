"""The door: what enters and in which form. Bytes in, canonical bytes or a refusal out; what a :class:`Door` keeps is
the names of persons, and only by telling them to ``remember``."""

import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from pydantic import ValidationError

from ingest.intake.privacy import (
    Data,
    Removed,
    may_hold_secret,
    only_known,
    without_secrets,
    without_unknown,
)
from ingest.intake.protected_fields import Replacements, protect
from ingest.intake.rejection import Refused, explained
from ledger.home.persons import Persons
from ledger.home.secrets import pseudonym, secret
from ledger.organizations import check_no_secret
from tallystick import ANY_EVENT
from tallystick.privacy.key_shapes import MAX_KEY, without_keys
from tallystick.vocabulary.event import DATA_MODELS, CloudEvent

MAX_EVENT = 128_000
"""Bytes of one event in canonical form."""

FACTS = ("inference", "observation", "correction")
_ENVELOPE = frozenset((*CloudEvent.model_fields, "type", "data"))
_TYPE = "tallystick.{}.v1"
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_name_without_keys = lru_cache(maxsize=10_000)(without_keys)  # the same persons call again and again
_persons = cache(Persons)
"""One table a home and process."""

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


class Entered(NamedTuple):
    """An event in the form in which it stands on the log, its own time, and what was removed from it."""

    line: bytes
    time: datetime
    removed: Removed


class Door:
    """Lets events of some kinds in, of one organization, whose key makes the pseudonyms. ``remember`` is told which
    name each stands for."""

    def __init__(
        self,
        key: str,
        kinds: tuple[str, ...] = FACTS,
        remember: Callable[[str, str], None] = lambda pseudonym, name: None,
    ) -> None:
        self.key = key
        self._remember = remember
        self._named: dict[str, str] = {}
        self._types = {_TYPE.format(kind): kind for kind in kinds}
        self._pseudonym: Callable[[str], str] = partial(pseudonym, key)
        self._replacements = Replacements(self._person, self._pseudonym)

    def enter(self, raw: bytes) -> Entered:
        """An event as a source wrote it. Raises Refused."""
        try:
            event = decode(raw)
        except UnicodeDecodeError:
            raise Refused("", "is not UTF-8") from None
        except (msgspec.DecodeError, RecursionError):
            raise Refused("", "is not JSON: one whole object a line is") from None
        return self.enter_event(event)

    def enter_event(self, event: Any) -> Entered:
        """An event that an adapter built of strings, numbers, lists and dicts. Raises Refused."""
        if not isinstance(event, dict):
            raise Refused("", "is not a JSON object", event)
        said = event.get("type")
        kind = self._types.get(said) if isinstance(said, str) else None
        if kind is None:
            raise Refused("type", f"is not one of {', '.join(self._types)}: nothing else enters here", event)
        removed: Removed = Counter()
        self._named.clear()
        kept = only_known(event, _ENVELOPE, removed)
        if isinstance(kept.get("data"), dict):
            kept["data"] = self.clean(kind, kept["data"], removed)
        line, time = sealed(kept, self.conceal)
        self.keep_names()
        return Entered(line, time, removed)

    def clean(self, kind: str, data: Data, removed: Removed) -> Data:
        """The data of an event without unknown words, and with pseudonyms for persons."""
        if kind == "inference":
            data = without_unknown(data, removed)
        elif kind == "correction" and isinstance(data.get("replacement"), dict):
            data = data | {"replacement": without_unknown(data["replacement"], removed, "data.replacement")}
        return protect(DATA_MODELS[kind], data, self._replacements)

    def conceal(self, event: Data) -> Data:
        """A cleaned event without keys and addresses in any of its texts."""
        concealed: Data = without_secrets(event, self._person)
        return concealed

    def keep_names(self) -> None:
        """Have the names remembered that were met last; those of an event that is refused are not."""
        for made, name in self._named.items():
            self._remember(made, name)
        self._named.clear()

    def _person(self, name: str) -> str:
        name = _name_without_keys(name)  # the table of names holds no key
        made = self._pseudonym(name)
        self._named[made] = name
        return made


def sealed(event: Data, conceal: Callable[[Data], Data] | None = None) -> tuple[bytes, datetime]:
    """A cleaned event validated, in canonical form, with its time. ``conceal`` takes keys and addresses out of one that
    may hold some. Raises Refused."""
    concealed = False
    try:
        body = encode(event)
        if conceal is not None and may_hold_secret(body):
            if len(body) > MAX_EVENT + MAX_KEY:  # so that no event is looked at for long
                raise _too_large(len(body), event)
            kept = conceal(event)
            concealed, event, body = kept != event, kept, encode(kept)
        whole = ANY_EVENT.validate_json(body)
    except ValidationError as error:
        refused = explained(error, event)
        if concealed and "at most" in refused.reason:
            why = f"{refused.reason}, counted with what stands there for e-mail addresses and keys"
            refused = Refused(refused.field, why, event)
        raise refused from None
    except (OverflowError, RecursionError):
        raise Refused("", "holds a number or a depth that no field can have", event) from None
    line = whole.canonical()
    if len(line) > MAX_EVENT:
        raise _too_large(len(line), event)
    if b"\\u0000" in line and _NUL.search(line):
        raise Refused("", "holds the character NUL in a string: leave it out", event)
    return line, whole.time


def _too_large(bytes: int, event: Data) -> Refused:
    return Refused("", f"has {bytes:,} bytes as an event, and may have {MAX_EVENT:,}", event)


def door(home: Path, organization: str, kinds: tuple[str, ...] = FACTS) -> Door:
    """The door of an organization, with the key that the home keeps for it, and its table of names."""
    return Door(secret(home, key_of(organization)), kinds, partial(_persons(home.resolve()).remember, organization))


def key_of(organization: str) -> str:
    """Under which name a home keeps the key of an organization's pseudonyms. TallyError where the organization is
    called by a key or an address, which would stand in clear in every record."""
    check_no_secret(organization)
    return f"pseudonym:{organization}"
