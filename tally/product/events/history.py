"""Find an event by its name or its position, with all lines of ``tally.entries`` that are about it."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from ledger import outcomes
from ledger.errors import TallyError
from ledger.log import PARTITIONS, Log, Position, parse_position, partition_of, records
from ledger.log.topics import ENTRIES
from tally.log.entry_lines import find_event_line

_OF_ORIGINALS = (outcomes.REPLACEMENT, outcomes.REVERSAL, outcomes.RESTATEMENT)
_decode = msgspec.json.Decoder().decode
Facts = dict[str, Any]
Identity = tuple[str, str, str]


class HistoryLine(NamedTuple):
    """A line of ``tally.entries`` of an event, with the organization, source and id of the event that it is about."""

    identity: Identity
    content: Facts


class EventHistory(NamedTuple):
    """An event with the lines about it, in order, and the one that stands at the position by which it was named. Source
    and id are None where that line is no event, and so has no identity."""

    organization: str
    source: str | None
    id: str | None
    partition: int
    lines: list[Facts]
    named: Facts | None = None


def find_event_history(log: Log, name: str, organization: str | None) -> EventHistory:
    """Find an event by its id, by SOURCE/ID, or by the position of any line that has its identity. TallyError where
    there is none, or several."""
    lines = list(_match_lines(log, name, range(PARTITIONS)))
    lines = [line for line in lines if organization in (None, line.identity[0])]
    identities = list(dict.fromkeys(line.identity for line in lines))
    if len(identities) > 1:
        raise _describe_ambiguity(name, identities)
    if identities:
        contents = [line.content for line in lines]
        return EventHistory(*identities[0], contents[0]["partition"], contents)
    named = _find_named_line(log, name, organization)
    if named is None:
        owner = "" if organization is None else f" of {organization}"
        raise TallyError(
            f"no event {name!r}{owner} on tally.entries: give SOURCE/ID, an id, or a position such as 3-1801-0 (the "
            "call_key of the marts), as `tally tail` and the page Call show them, or wait until the folds have reached "
            "it (`tally log positions`)"
        )
    if "id" not in named:
        return EventHistory(named["organization"], None, None, named["partition"], [named], named)
    identity = named["organization"], named["source"], named["id"]
    lines = list(_match_lines(log, f"{identity[1]}/{identity[2]}", [named["partition"]]))
    contents = [line.content for line in lines if line.identity == identity]
    return EventHistory(*identity, named["partition"], contents, named)


def _find_named_line(log: Log, name: str, organization: str | None) -> Facts | None:
    """Find the line at the position that a name is; without a partition, in that of the organization."""
    position: Position | None = parse_position(name, None if organization is None else partition_of(organization))
    line = None if position is None else find_event_line(log, position)
    return line if line is not None and organization in (None, line["organization"]) else None


def _match_lines(log: Log, name: str, partitions: Iterable[int]) -> Iterator[HistoryLine]:
    """Yield the lines of ``tally.entries`` about events of this id, or ``SOURCE/ID``, in order."""
    needle = msgspec.json.encode(name.rpartition("/")[2] or name)[1:-1]
    for partition in partitions:
        identity_by_original: dict[bytes, Identity] = {}
        for record in records(log, ENTRIES, partition):
            needles = (needle, *identity_by_original)
            if not any(part in record.value for part in needles):
                continue
            for line in record.value.split(b"\n"):
                if any(part in line for part in needles):
                    yield from _match_line(_decode(line), name, identity_by_original)


def _match_line(content: Facts, name: str, identity_by_original: dict[bytes, Identity]) -> Iterator[HistoryLine]:
    """Yield a line that is about the event of this name, and remember the positions of its entries."""
    if "id" not in content:
        return
    original = b'"original_offset":%d,"original_index":%d' % (
        content.get("original_offset", -1), content.get("original_index", -1),
    )  # fmt: skip
    place = b'"original_offset":%d,"original_index":%d' % (content["offset"], content["event_index"])
    if content["outcome"] in _OF_ORIGINALS and original in identity_by_original:
        identity = identity_by_original[original]
        if content["outcome"] == outcomes.REPLACEMENT:
            identity_by_original[place] = identity
        yield HistoryLine(identity, content)
    elif name in (content["id"], f"{content['source']}/{content['id']}"):
        identity = content["organization"], content["source"], content["id"]
        if content["outcome"] in outcomes.OUTCOMES:
            identity_by_original[place] = identity
        yield HistoryLine(identity, content)


def _describe_ambiguity(name: str, identities: list[Identity]) -> TallyError:
    names = ", ".join(f"{source}/{id} of {organization}" for organization, source, id in identities[:5])
    sources = {(source, id) for _, source, id in identities}
    owners = {organization for organization, _, _ in identities}
    ways_out = ["name one as SOURCE/ID"] if len(sources) > 1 else []
    way_out = " and ".join([*ways_out, *(["name the organization with --organization"] if len(owners) > 1 else [])])
    return TallyError(f"{len(identities)} events have the id {name!r} ({names}): {way_out}")
