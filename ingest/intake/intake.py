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
    keep_known_fields,
    replace_secrets,
    drop_unknown_fields,
)
from ingest.intake.protected_fields import Replacements, protect
from ingest.intake.rejection import Rejection, explain
from ledger.home.persons import Persons
from ledger.home.secrets import pseudonym, ensure_secret
from ledger.organizations import check_no_secret
from tallystick import ANY_EVENT
from tallystick.privacy.key_shapes import MAX_KEY_LENGTH, replace_keys
from tallystick.vocabulary.event import DATA_MODELS, CloudEvent

MAX_EVENT_BYTES = 128_000
"""Bytes of one event in canonical form."""

FACT_KINDS = ("inference", "observation", "correction")
_ENVELOPE_FIELDS = frozenset((*CloudEvent.model_fields, "type", "data"))
_TYPE_FORMAT = "tallystick.{}.v1"
_NUL_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_name_without_keys = lru_cache(maxsize=10_000)(replace_keys)  # the same persons call again and again
_open_persons = cache(Persons)
"""One table a home and process."""

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


class AcceptedEvent(NamedTuple):
    """An event in the form in which it stands on the log, its own time, and what was removed from it."""

    line: bytes
    time: datetime
    removed: Removed


class Intake:
    """Lets events of some kinds in, of one organization, whose key makes the pseudonyms. ``remember`` is told which
    name each stands for."""

    def __init__(
        self,
        key: str,
        kinds: tuple[str, ...] = FACT_KINDS,
        remember: Callable[[str, str], None] = lambda pseudonym, name: None,
    ) -> None:
        self.key = key
        self._remember = remember
        self._pending_names: dict[str, str] = {}
        self._kinds_by_type = {_TYPE_FORMAT.format(kind): kind for kind in kinds}
        self._pseudonymize: Callable[[str], str] = partial(pseudonym, key)
        self._replacements = Replacements(self._pseudonymize_person, self._pseudonymize)

    def accept(self, raw: bytes) -> AcceptedEvent:
        """An event as a source wrote it. Raises Refused."""
        try:
            event = decode(raw)
        except UnicodeDecodeError:
            raise Rejection("", "is not UTF-8") from None
        except (msgspec.DecodeError, RecursionError):
            raise Rejection("", "is not JSON: one whole object a line is") from None
        return self.accept_event(event)

    def accept_event(self, event: Any) -> AcceptedEvent:
        """An event that an adapter built of strings, numbers, lists and dicts. Raises Refused."""
        if not isinstance(event, dict):
            raise Rejection("", "is not a JSON object", event)
        event_type = event.get("type")
        kind = self._kinds_by_type.get(event_type) if isinstance(event_type, str) else None
        if kind is None:
            raise Rejection("type", f"is not one of {', '.join(self._kinds_by_type)}: nothing else enters here", event)
        removed: Removed = Counter()
        self._pending_names.clear()
        fields = keep_known_fields(event, _ENVELOPE_FIELDS, removed)
        if isinstance(fields.get("data"), dict):
            fields["data"] = self.clean(kind, fields["data"], removed)
        line, time = seal_event(fields, self.conceal)
        self.keep_names()
        return AcceptedEvent(line, time, removed)

    def clean(self, kind: str, data: Data, removed: Removed) -> Data:
        """The data of an event without unknown words, and with pseudonyms for persons."""
        if kind == "inference":
            data = drop_unknown_fields(data, removed)
        elif kind == "correction" and isinstance(data.get("replacement"), dict):
            data = data | {"replacement": drop_unknown_fields(data["replacement"], removed, "data.replacement")}
        return protect(DATA_MODELS[kind], data, self._replacements)

    def conceal(self, event: Data) -> Data:
        """A cleaned event without keys and addresses in any of its texts."""
        concealed: Data = replace_secrets(event, self._pseudonymize_person)
        return concealed

    def keep_names(self) -> None:
        """Have the names remembered that were met last; those of an event that is refused are not."""
        for token_name, name in self._pending_names.items():
            self._remember(token_name, name)
        self._pending_names.clear()

    def _pseudonymize_person(self, name: str) -> str:
        name = _name_without_keys(name)  # the table of names holds no key
        person = self._pseudonymize(name)
        self._pending_names[person] = name
        return person


def seal_event(event: Data, conceal: Callable[[Data], Data] | None = None) -> tuple[bytes, datetime]:
    """A cleaned event validated, in canonical form, with its time. ``conceal`` takes keys and addresses out of one that
    may hold some. Raises Refused."""
    concealed = False
    try:
        body = encode(event)
        if conceal is not None and may_hold_secret(body):
            if len(body) > MAX_EVENT_BYTES + MAX_KEY_LENGTH:  # so that no event is looked at for long
                raise _size_rejection(len(body), event)
            changed = conceal(event)
            concealed, event, body = changed != event, changed, encode(changed)
        valid = ANY_EVENT.validate_json(body)
    except ValidationError as error:
        rejection = explain(error, event)
        if concealed and "at most" in rejection.reason:
            reason = f"{rejection.reason}, counted with what stands there for e-mail addresses and keys"
            rejection = Rejection(rejection.field, reason, event)
        raise rejection from None
    except (OverflowError, RecursionError):
        raise Rejection("", "holds a number or a depth that no field can have", event) from None
    line = valid.canonical()
    if len(line) > MAX_EVENT_BYTES:
        raise _size_rejection(len(line), event)
    if b"\\u0000" in line and _NUL_ESCAPE.search(line):
        raise Rejection("", "holds the character NUL in a string: leave it out", event)
    return line, valid.time


def _size_rejection(size: int, event: Data) -> Rejection:
    return Rejection("", f"has {size:,} bytes as an event, and may have {MAX_EVENT_BYTES:,}", event)


def open_intake(home: Path, organization: str, kinds: tuple[str, ...] = FACT_KINDS) -> Intake:
    """The door of an organization, with the key that the home keeps for it, and its table of names."""
    return Intake(ensure_secret(home, pseudonym_secret_name(organization)), kinds, partial(_open_persons(home.resolve()).remember, organization))


def pseudonym_secret_name(organization: str) -> str:
    """Under which name a home keeps the key of an organization's pseudonyms. TallyError where the organization is
    called by a key or an address, which would stand in clear in every record."""
    check_no_secret(organization)
    return f"pseudonym:{organization}"
