"""Decisions of people, appended through the same door as everything else."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic import ValidationError

from ingest import platform
from ingest.batch import Envelope
from ingest.door import decode, door, encode
from ingest.privacy import text_without_secrets
from ingest.refusal import Refused
from ledger.catalogue import genai_prices
from ledger.errors import TallyError
from ledger.log import PARTITIONS, Draft, Log, Position
from ledger.log.documents import store
from ledger.organizations import check_organization
from ledger.prices import PriceBook, sealed
from ledger.settings import Settings
from ledger.topics import EVENTS, PLATFORM
from tallystick.control import BODIES

SOURCE = "tally-cli"
ORGANIZATION = "organization"
ELSEWHERE = {
    "price_book.adopted": "`tally price adopt` makes, as it brings the book",
    "log.closed": "`tally log copy` makes",
    "generation.made_current": "`tally rebuild` makes",
    "subject.erased": "`tally subject erase` makes, as it forgets the name",
}
"""Decisions that take more than a record."""


class Adopted(NamedTuple):
    """Where a book's adoption stands, and whether it is new: the book in force is not adopted again."""

    position: Position
    document: str
    new: bool


def append_control(
    log: Log,
    settings: Settings,
    control: str,
    body: dict[str, Any],
    *,
    organization: str,
    reason: str | None = None,
    actor: str | None = None,
) -> Position:
    """Append a decision, in force from now on. TallyError names the field that is not possible."""
    check_organization(organization, "TALLY_ORGANIZATION", "have decisions")
    _check(control, body)
    line = _line(settings, control, body, organization, reason, actor)
    (record,) = log.append(EVENTS, [Envelope(organization, "control", "local").draft(line)])
    return Position(record.partition, record.offset, 0)


def checked_decision(line: bytes, organization: str) -> None:
    """Of a decision as it would stand on the log. Refused where it is made elsewhere, or is another's."""
    data = decode(line)["data"]
    control, body = data["control"], data["body"]
    if control in ELSEWHERE:
        raise Refused("data.control", f"is {control}, which {ELSEWHERE[control]}", data)
    if control == "budget.allocated" and body["dimension"] == ORGANIZATION and body["scope"] != organization:
        raise Refused("data.body.scope", f"must be {organization!r}: the budget is for the whole organization", data)


def set_budget(
    log: Log,
    settings: Settings,
    organization: str,
    dimension: str,
    scope: str,
    limit: Decimal,
    currency: str,
    window_s: int,
    reason: str | None = None,
    actor: str | None = None,
) -> Position:
    """Allocate a limit of spend to a scope over a rolling window; the same scope and window again changes it."""
    if dimension == ORGANIZATION and scope != organization:
        raise TallyError(f"the budget of the whole organization {organization!r} cannot be for {scope!r}")
    body = {
        "dimension": dimension,
        "scope": scope,
        "limit": format(limit, "f"),
        "currency": currency,
        "window_s": window_s,
    }
    return append_control(
        log, settings, "budget.allocated", body, organization=organization, reason=reason, actor=actor
    )


def adopt_price_book(log: Log, settings: Settings, book: PriceBook, reason: str | None = None) -> Adopted:
    """Price by this book what comes from here on, whosever it is. The book in force changes nothing."""
    with platform.alone(settings.home):
        return _adopt(log, settings, book, reason)


def ensure_price_book(log: Log, settings: Settings) -> None:
    """Adopt the installed catalogue where nothing was adopted yet: the first start of a home."""
    if platform.complete(log):
        return
    with platform.alone(settings.home):
        if next(platform.adoptions(log), None) is None:
            _adopt(log, settings, genai_prices(), "the first start of this home")
        else:
            platform.relay(log)


def closing(settings: Settings, went_to: str) -> list[Draft]:
    """The last record of every partition, of a log that goes on elsewhere."""
    line = _line(settings, "log.closed", {"went_to": went_to}, PLATFORM, None, None)
    # A door of its own: what comes through that of decisions is relayed.
    draft = Envelope(PLATFORM, "log", "local").draft(line)
    return [draft._replace(partition=partition) for partition in range(PARTITIONS)]


def made_current(settings: Settings, generation: int, folds_version: int) -> bytes:
    """The decision that this generation of all that is derived is the current one; `platform.ensure` appends it."""
    body = {"generation": generation, "folds_version": folds_version}
    return _line(settings, "generation.made_current", body, PLATFORM, None, None)


def _adopt(log: Log, settings: Settings, book: PriceBook, reason: str | None) -> Adopted:
    if text_without_secrets(book.name, lambda name: "") != book.name:
        raise TallyError(
            f"the price book is called {book.name!r}, by a key or an e-mail address: give it another `name`"
        )
    document, packed = sealed(book)
    in_force = {adoption.name: adoption for adoption in platform.adoptions(log)}.get(book.name)
    if in_force is not None and in_force.document == document:
        platform.relay(log)
        return Adopted(in_force.position, document, new=False)
    body = {"name": book.name, "document": document}
    line = _line(settings, "price_book.adopted", body, PLATFORM, reason, None)
    store(log, document, packed)
    return Adopted(platform.publish(log, line), document, new=True)


def _check(control: str, body: dict[str, Any]) -> None:
    """What is wrong with a body, in words for the person who typed it."""
    if control in BODIES:
        try:
            BODIES[control].model_validate_json(encode(body))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(map(str, first["loc"]))
            said = first["msg"].removeprefix("Value error, ")
            raise TallyError(f"{control} is not possible: {field} is {first['input']!r}: {said}") from None


def _line(
    settings: Settings,
    control: str,
    body: dict[str, Any],
    organization: str,
    reason: str | None,
    actor: str | None,
) -> bytes:
    now = datetime.now(UTC).isoformat()
    data = {"control": control, "actor": actor, "reason": reason, "body": body}
    event = {
        "id": str(uuid.uuid4()),
        "source": SOURCE,
        "type": "tallystick.control.v1",
        "time": now,
        "data": data | {"effective_at": now, "recorded_at": now},
    }
    try:
        return door(settings.home, organization, ("control",)).enter_event(event).line
    except Refused as refused:
        raise TallyError(f"{control} is not possible: {refused}") from None
