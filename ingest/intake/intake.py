"""The intake: every event passes here. Bytes in, canonical bytes or a rejection out. The one effect of an
:class:`Intake` is the table of persons' names, which it writes through ``remember``."""

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
    drop_unknown_fields,
    keep_known_fields,
    may_hold_secret,
    replace_secrets,
)
from ingest.intake.protected_fields import Replacements, protect
from ingest.intake.rejection import Rejection, explain
from ledger.home.persons import Persons
from ledger.home.secrets import ensure_secret, pseudonym
from ledger.organizations import check_no_secret
from tallystick import ANY_EVENT
from tallystick.privacy.key_shapes import MAX_KEY_LENGTH, replace_keys
from tallystick.vocabulary.event import DATA_MODELS, CloudEvent

MAX_EVENT_BYTES = 128_000
"""The bound of one event in canonical form."""

FACT_KINDS = ("inference", "observation", "correction")
REQUEST_KINDS = ("admission", "lease")
_ENVELOPE_FIELDS = frozenset((*CloudEvent.model_fields, "type", "data"))
_TYPE_FORMAT = "tallystick.{}.v1"
_NUL_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")

_name_without_keys = lru_cache(maxsize=10_000)(replace_keys)  # the same persons call again and again
_open_persons = cache(Persons)
"""One table a home and process."""

decode = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


class AcceptedEvent(NamedTuple):
    """An event in its form on the log, its own time, and the counts of removed values."""

    line: bytes
    time: datetime
    removed: Removed


class Intake:
    """Accepts events of some kinds, of one organization. Its ``key`` makes the pseudonyms; ``remember(pseudonym,
    name)`` stores the name of each."""

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
        """Accept an event in the bytes of its source. Raises Rejection."""
        try:
            event = decode(raw)
        except UnicodeDecodeError:
            raise Rejection("", "is not UTF-8") from None
        except (msgspec.DecodeError, RecursionError):
            raise Rejection("", "is not JSON: send one whole object a line") from None
        return self.accept_event(event)

    def accept_event(self, event: Any) -> AcceptedEvent:
        """Accept an event that an adapter built of strings, numbers, lists and dicts. Raises Rejection."""
        if not isinstance(event, dict):
            raise Rejection("", "is not a JSON object", event)
        event_type = event.get("type")
        kind = self._kinds_by_type.get(event_type) if isinstance(event_type, str) else None
        if kind is None:
            raise Rejection("type", f"is not one of {', '.join(self._kinds_by_type)}, the types accepted here", event)
        removed: Removed = Counter()
        self._pending_names.clear()
        fields = keep_known_fields(event, _ENVELOPE_FIELDS, removed)
        if isinstance(fields.get("data"), dict):
            fields["data"] = self.clean(kind, fields["data"], removed)
        line, time = seal_event(fields, self.conceal)
        self.keep_names()
        return AcceptedEvent(line, time, removed)

    def clean(self, kind: str, data: Data, removed: Removed) -> Data:
        """Return the data of an event without unknown fields, and with pseudonyms for persons."""
        if kind == "inference":
            data = drop_unknown_fields(data, removed)
        elif kind == "correction" and isinstance(data.get("replacement"), dict):
            data = data | {"replacement": drop_unknown_fields(data["replacement"], removed, "data.replacement")}
        return protect(DATA_MODELS[kind], data, self._replacements)

    def conceal(self, event: Data) -> Data:
        """Return a cleaned event without keys and addresses in any of its texts."""
        concealed: Data = replace_secrets(event, self._pseudonymize_person)
        return concealed

    def keep_names(self) -> None:
        """Store the names of the last event; those of a rejected event are never stored."""
        for token_name, name in self._pending_names.items():
            self._remember(token_name, name)
        self._pending_names.clear()

    def _pseudonymize_person(self, name: str) -> str:
        name = _name_without_keys(name)  # the table of names holds no key
        person = self._pseudonymize(name)
        self._pending_names[person] = name
        return person


def seal_event(event: Data, conceal: Callable[[Data], Data] | None = None) -> tuple[bytes, datetime]:
    """Validate a cleaned event; return its canonical form and its time. ``conceal`` replaces keys and addresses in one
    that may hold some. Raises Rejection."""
    concealed = False
    try:
        body = encode(event)
        if conceal is not None and may_hold_secret(body):
            if len(body) > MAX_EVENT_BYTES + MAX_KEY_LENGTH:  # the search for keys takes time with the length
                raise _size_rejection(len(body), event)
            changed = conceal(event)
            concealed, event, body = changed != event, changed, encode(changed)
        valid = ANY_EVENT.validate_json(body)
    except ValidationError as error:
        rejection = explain(error, event)
        if concealed and "at most" in rejection.reason:
            reason = f"{rejection.reason}, counted with the pseudonyms of e-mail addresses and fingerprints of keys"
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
    """Open the intake of an organization with its key and its table of names in the home."""
    return Intake(
        ensure_secret(home, pseudonym_secret_name(organization)),
        kinds,
        partial(_open_persons(home.resolve()).remember, organization),
    )


def pseudonym_secret_name(organization: str) -> str:
    """Return the name of the secret that keys an organization's pseudonyms. TallyError where the organization is called
    by a key or an address, which every record would show."""
    check_no_secret(organization)
    return f"pseudonym:{organization}"
