"""Correct an event: find it on the log, try the correction on what the log says of it, and append it.

The trial folds the records of the event's partition that name it, and its control records, so that before and after
are exact, and a correction that would change nothing or be quarantined is refused before anything is appended. Each of
these records has the time that the log had reached, and a record without lines stands at the end: what was held falls
due as in the folds. Where commitments cover calls, what an entry costs follows from all calls before it: the trial
folds the whole partition then.
"""

import json
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from pydantic import ValidationError

from ingest.intake.batch import Envelope
from ingest.intake.intake import open_intake
from ingest.intake.rejection import Rejection
from ledger import envelope, outcomes
from ledger.errors import TallyError
from ledger.log import Draft, Log, Position, Record, parse_position, partition_of, records
from ledger.log.documents import load_document
from ledger.log.topics import DECISIONS, ENTRIES, EVENTS, Topic
from ledger.money import pico, text
from ledger.pricing.contract import Contract, unpack_document
from ledger.settings import Settings
from streams.folds.event import EPOCH, parse_record
from streams.folds.identity import TOKEN_TOTALS_MISMATCH
from streams.replay import replay
from streams.runtime import read_catalogues
from tally.log.entry_lines import find_event_line
from tally.log.event_state import REVERSED, find_due_time, find_last_change, name_state
from tally.log.partition_copy import PartitionCopy
from tally.product.correction_fields import compare_fields, read_value, remove_field, set_field
from tallystick import Correction, CorrectionEvent
from tallystick.vocabulary.controls.contracts import ContractSigned
from tallystick.vocabulary.controls.prices import PriceBookAdopted

SOURCE = "tally-cli"
_CONTROL = b'"tallystick.control.v1"'
MAX_LISTED = 5
_WITHOUT_DATA = outcomes.DUPLICATE, outcomes.CONFLICT, outcomes.REVERSAL, outcomes.RESTATEMENT
"""Outcomes of lines at whose position no version stands that came into force."""
_COSTS = ("list_cost", "effective_cost", "billed_cost")
_PRICE_NAMES = "pricing", "unpriced_reason", "greatest_unpriced_cost", "saved_cost", "currency"
_IDENTITY = "time", "id", "source"
_WITH_DOCUMENTS = PriceBookAdopted.control_type, ContractSigned.control_type


class Amounts(NamedTuple):
    """The quantities by class and the costs by currency that stand in the ledger for an event, why it has no entry
    there; None where it has; and whether its entry has a price, and its bound where not. A cost of zero is left out."""

    quantities: dict[str, int]
    list_costs: dict[str, str]
    effective_costs: dict[str, str]
    billed_costs: dict[str, str]
    absence: str | None
    entry: dict[str, str]


class History(NamedTuple):
    """An event on the log: its identity, the data of its first line, the lines that the folds derive from it, and
    the records that they follow from."""

    organization: str
    source: str
    id: str
    data: dict[str, Any]
    lines: list[dict[str, Any]]
    records: list[Record]


class Trial(NamedTuple):
    """The effect of a correction: the amounts before and after it, the data of the event afterwards, and where the
    event's month is closed that month and the one in which the difference is billed."""

    before: Amounts
    after: Amounts
    data: dict[str, Any]
    closed_month: str | None = None
    billing_month: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the amounts before and after, and the months."""
        amounts = {"before": self.before._asdict(), "after": self.after._asdict()}
        return amounts | {"closed_month": self.closed_month, "billing_month": self.billing_month}


def find_history(log: Log, organization: str, name: str) -> History:
    """Find the event of a name: SOURCE/ID, an id that one source has, or the position of a line that has its identity.
    TallyError where there is none, or several."""
    position = parse_position(name, partition_of(organization))
    line = None if position is None else find_event_line(log, position)
    if line is not None and line["organization"] == organization and "id" in line:
        name = f"{line['source']}/{line['id']}"
    id = name.rpartition("/")[2]
    mark = json.dumps(id, ensure_ascii=False)[1:-1].encode()
    chosen = _choose_records(log, organization, mark)
    events: dict[tuple[str, str], str] = {}
    for record in chosen:
        if record.organization == organization and mark in record.value:
            for event in parse_record(record).events:
                if event.kind != "unknown" and name in (event.id, f"{event.source}/{event.id}"):
                    events.setdefault((event.source, event.id), event.kind)
    if not events:
        raise TallyError(
            f"no event of organization {organization} has the name {name!r}: give SOURCE/ID, the id or the position "
            "as `tally tail` shows them, and --organization where it is another's"
        )
    if len(events) > 1:
        names = ", ".join(f"{source}/{event_id}" for source, event_id in sorted(events)[:5])
        raise TallyError(f"{len(events)} events have the name {name!r}: give the source too, one of {names}")
    (((source, event_id), kind),) = events.items()
    if kind == "correction":
        raise TallyError(f"{source}/{event_id} is a correction: name the event that it corrects")
    if kind != "inference":
        raise TallyError(f"{source}/{event_id} is of kind {kind}: only an inference can be corrected")
    history = History(organization, source, event_id, {}, [], chosen)
    lines = _replay_lines(log, history, chosen)[0]
    return history._replace(lines=lines, data=_read_data(lines, chosen))


def _choose_records(log: Log, organization: str, mark: bytes) -> list[Record]:
    """Return the records of the organization's partition that hold a mark, a control record or a relay, each at the
    time that the log had reached, and a record without lines at the present end."""
    partition = partition_of(organization)
    chosen, now_ms = list[Record](), 0
    for record in records(log, EVENTS, partition):
        now_ms = max(now_ms, record.time_ms)
        if mark in record.value or _CONTROL in record.value or envelope.RELAY_AFTER in record.headers:
            chosen.append(record._replace(time_ms=now_ms))
    now_ms = max(now_ms, time.time_ns() // 1_000_000)
    return [*chosen, _make_record(organization, b"", log.end(EVENTS, partition), now_ms)]


def _make_record(organization: str, value: bytes, offset: int, time_ms: int) -> Record:
    draft = Envelope(organization, "control", "local").make_draft(value)
    return Record(draft.partition, offset, time_ms, draft.key, dict(draft.headers), draft.value)


def _read_data(lines: Sequence[Mapping[str, Any]], chosen: Sequence[Record]) -> dict[str, Any]:
    """Read the data of the version that came last into force, also by a correction."""
    data: dict[str, Any] = {}
    values = {record.offset: record.value for record in chosen}
    due_positions: dict[tuple[int, int], tuple[int, int]] = {}
    """The positions of lines that were held, by those at which they fell due."""
    for line in lines:
        position, is_release = (line["offset"], line["event_index"]), line["outcome"] == outcomes.RELEASE
        if is_release:
            original = line["original_offset"], line["original_index"]
            if line["reason"] == outcomes.HELD:
                due_positions[position] = original
            position = original
        if line["kind"] != "inference" or line["outcome"] in _WITHOUT_DATA or (is_release and "pricing" not in line):
            continue  # a release without an entry is of a version that was no longer in force
        offset, index = due_positions.get(position, position)
        data = json.loads(values[offset].split(b"\n")[index])["data"]
        data = data["replacement"] if line["outcome"] == outcomes.REPLACEMENT else data
    return data


def build_correction(
    settings: Settings, history: History, action: str, reason: str, fields: Mapping[str, str | None],
    accepted: Position | None,
) -> CorrectionEvent:  # fmt: skip
    """Build a correction of the event. ``fields`` are those of its data that a replacement sets; None removes one."""
    body: dict[str, Any] = {
        "action": action, "of": {"source": history.source, "id": history.id},
        "reason": _clean_fields(settings, history.organization, {"error_code": reason}).get("error_code", reason),
    }  # fmt: skip
    if action == outcomes.REPLACEMENT:
        body["replacement"] = _replace_fields(settings, history, fields)
    if accepted is not None:
        body["accepted"] = {"offset": accepted.offset, "event_index": accepted.event_index}
    try:
        data = Correction.model_validate_json(json.dumps(body))
    except ValidationError as error:
        problem = error.errors()[0]
        place = problem["loc"]
        if place[0] != outcomes.REPLACEMENT:
            raise
        if len(place) == 1:
            raise TallyError(
                f"the correction of {history.source}/{history.id} would contradict itself: {problem['ctx']['error']}. "
                "Set or remove the other field too (--set FIELD=VALUE, --set FIELD=)"
            ) from None
        name = ".".join(str(part) for part in place[1:])
        raise TallyError(
            f"{history.source}/{history.id} was quarantined with a field {name} that does not fit the vocabulary: set "
            f"it too (--set {name}=VALUE), or remove it (--set {name}=)"
        ) from None
    return CorrectionEvent(id=str(uuid.uuid4()), source=SOURCE, time=datetime.now(UTC), data=data)


def try_correction(log: Log, history: History, correction: CorrectionEvent) -> Trial:
    """Fold the correction after the event's records, without appending it. TallyError says why it changes nothing, or
    why it would be quarantined."""
    record = _make_trial_record(history, correction)
    lines, decisions = _replay_lines(log, history, history.records, record)
    _check_effect(history, correction, lines, decisions)
    data = _read_data(lines, [*history.records, record])
    trial = Trial(sum_amounts(history.lines), sum_amounts(lines), data, *_find_billing_month(lines, record.offset))
    is_replacement = correction.data.action == outcomes.REPLACEMENT
    if is_replacement and trial.before == trial.after and not list_changes(history, correction):
        title = f"the correction of {history.source}/{history.id}"
        raise TallyError(f"{title} would change nothing: the event has these values already; give --set another value")
    return trial


def has_effect(log: Log, history: History, correction: CorrectionEvent) -> bool:
    """Tell whether the correction would change the ledger. That does not depend on commitments, so the event's own
    records are enough."""
    record = _make_trial_record(history, correction)
    lines, decisions = _replay_lines(log, history, history.records, record, has_costs=False)
    try:
        _check_effect(history, correction, lines, decisions)
    except TallyError:
        return False
    return True


def _make_trial_record(history: History, correction: CorrectionEvent) -> Record:
    end = history.records[-1]
    return _make_record(history.organization, correction.canonical(), end.offset + 1, end.time_ms)


def _check_effect(
    history: History, correction: CorrectionEvent, lines: Sequence[Mapping[str, Any]],
    decisions: Sequence[Mapping[str, Any]],
) -> None:  # fmt: skip
    """TallyError where a correction changes nothing, or is quarantined, by the lines and decisions of its trial."""
    title = f"the correction of {history.source}/{history.id}"
    outcome = next(line for line in lines if (line["source"], line["id"]) == (correction.source, correction.id))
    if outcome["outcome"] != outcomes.COUNTED:
        raise TallyError(f"{title} would be {outcome['outcome']}: {outcome.get('detail')}{_describe_way_out(outcome)}")
    for decision in decisions:
        if decision["decision"] == "correction.ineffective" and decision.get("event_id") == correction.id:
            conflicts = _list_conflicts(history) if correction.data.accepted else ""
            raise TallyError(f"{title} would change nothing: {decision['reason']}{conflicts}")


def _find_billing_month(lines: Sequence[Mapping[str, Any]], offset: int) -> tuple[str | None, str | None]:
    """Return the closed month of the entries that a record causes, and the month in which they are billed; None for
    both where the month is open."""
    line = next((line for line in lines if line["offset"] == offset and "billing_month" in line), None)
    if line is None:
        return None, None
    return f"{EPOCH + timedelta(microseconds=line['time_us']):%Y-%m}", line["billing_month"]


def _list_conflicts(history: History) -> str:
    positions = [
        str(Position(line["partition"], line["offset"], line["event_index"]))
        for line in history.lines
        if line["outcome"] == outcomes.CONFLICT
    ]
    return f"; its conflicts stand at {', '.join(positions[-MAX_LISTED:])}" if positions else "; it has no conflict"


def list_changes(history: History, correction: CorrectionEvent) -> dict[str, dict[str, Any]]:
    """Return the fields of the event that a replacement changes, each with its values before and after it."""
    if correction.data.replacement is None:
        return {}
    return compare_fields(history.data, json.loads(correction.canonical())["data"]["replacement"])


def _describe_way_out(outcome: Mapping[str, Any]) -> str:
    if outcome.get("reason") != TOKEN_TOTALS_MISMATCH:
        return ""
    return (
        ". Set the tokens or the totals so that they agree (--set tokens.CLASS=N, --set reported_tokens.input=N), or "
        "remove the totals (--set reported_tokens=)"
    )


def append_correction(log: Log, history: History, correction: CorrectionEvent) -> Position:
    """Append the correction to the log."""
    draft = Envelope(history.organization, "control", "local").make_draft(correction.canonical())
    (record,) = log.append(EVENTS, [draft])
    return Position(record.partition, record.offset, 0)


def sum_amounts(lines: Sequence[Mapping[str, Any]]) -> Amounts:
    """Sum the entries of lines."""
    quantities: Counter[str] = Counter()
    costs: dict[str, Counter[str]] = {name: Counter() for name in _COSTS}
    for line in lines:
        for entry in line.get("lines", ()):
            quantities[entry["class"]] += entry["quantity"]
            for name in _COSTS:
                if entry[name] is not None:
                    costs[name][line["currency"]] += pico(entry[name])
    list_costs, effective_costs, billed_costs = (
        {currency: text(cost) for currency, cost in costs[name].items() if cost} for name in _COSTS
    )
    last = find_last_change(lines)
    state = name_state(last)
    price: dict[str, str] = {}
    if last is not None and state in (outcomes.COUNTED, outcomes.QUARANTINED):
        price = {name: last[name] for name in _PRICE_NAMES if name in last}
    return Amounts(dict(+quantities), list_costs, effective_costs, billed_costs, _describe_absence(last, state), price)


def _describe_absence(last: Mapping[str, Any] | None, state: str) -> str | None:
    """Describe why the event has no entry, by the last line that changes that; None where it has one."""
    if last is not None and state == outcomes.HELD:
        return f"held until {find_due_time(last):%Y-%m-%d %H:%M:%S} UTC"
    if last is not None and state == outcomes.QUARANTINED:
        return f"quarantined: {last.get('detail') or last['reason']}"
    return REVERSED if state == REVERSED else None


def _replay_lines(
    log: Log, history: History, chosen: Sequence[Record], trial: Record | None = None, *, has_costs: bool = True
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the lines of entries that concern the event, and all decisions, of a replay of records. Without
    ``has_costs`` the lines need not have the costs that commitments leave."""
    names: dict[tuple[str, str], str | None] = {(history.source, history.id): None}
    """Identities of the event, and of corrections of it with their actions."""
    documents: dict[str, bytes] = {}
    has_commitments = False
    replayed = [*chosen] if trial is None else [*chosen, trial]
    for record in replayed:
        for event in parse_record(record).events:
            if event.kind == "correction" and event.data.get("of") == {"source": history.source, "id": history.id}:
                names[event.source, event.id] = event.data.get("action")
            if event.kind == "control" and event.data.get("control") in _WITH_DOCUMENTS:
                digest = event.data["body"]["document"]
                packed = load_document(log, digest)
                if packed is not None:
                    documents[digest] = packed
                    is_own = event.organization == history.organization
                    has_commitments = has_commitments or (is_own and _has_commitments(digest, packed))
    lines: list[dict[str, Any]] = []
    decisions: list[dict[str, Any]] = []
    outputs = _fold_partition(log, history, trial) if has_commitments and has_costs else replay(replayed, documents)
    for topic, derived in outputs:
        contents = map(json.loads, derived.value.split(b"\n"))
        if topic is ENTRIES:
            lines += (line | {"action": names[key]} for line in contents if (key := _get_identity(line)) in names)
        elif topic is DECISIONS:
            decisions += (decision for decision in contents if "correction" in decision["decision"])
    return [line for line in lines if line["organization"] == history.organization], decisions


def _get_identity(line: Mapping[str, Any]) -> tuple[Any, Any]:
    return line.get("source"), line.get("id")


def _has_commitments(digest: str, packed: bytes) -> bool:
    document = unpack_document(digest, packed)
    return isinstance(document, Contract) and bool(document.commitments)


def _fold_partition(log: Log, history: History, trial: Record | None) -> Iterator[tuple[Topic, Record]]:
    """Fold the whole partition of an event again, and the trial behind it, and yield what they cause."""
    partition = partition_of(history.organization)
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        copy = PartitionCopy(db, log, partition, read_catalogues(log))
        for _, derived in copy.fold(log.end(EVENTS, partition)):
            yield from derived
        for record in (history.records[-1], *(() if trial is None else (trial,))):
            yield from copy.append(Draft(partition, record.key, record.headers, record.value))


def _replace_fields(settings: Settings, history: History, fields: Mapping[str, str | None]) -> dict[str, Any]:
    """Return the event's data with fields replaced, as the intake would accept them."""
    data: dict[str, Any] = json.loads(json.dumps(history.data))
    added: dict[str, Any] = {}
    for name, value in fields.items():
        if value is not None:
            set_field(added, name, read_value(name, value))
    cleaned = _clean_fields(settings, history.organization, added)
    for name in fields:
        group, _, member = name.partition(".")
        value = cleaned.get(group)
        value = value.get(member) if member and isinstance(value, dict) else value
        if fields[name] is None:
            remove_field(data, name)
        elif value is None and name in _IDENTITY:
            raise TallyError(
                f"--set {name}: the {name} of an event cannot be corrected, only its data. Take it out with --reverse, "
                "and send it again under another id"
            )
        elif value is None:
            raise TallyError(f"--set {name}={fields[name]}: an inference has no field {name} with such a value")
        else:
            set_field(data, name, value)
    return data


def _clean_fields(settings: Settings, organization: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields of an inference as the intake accepts them: without keys and addresses, persons by pseudonym."""
    event = {
        "id": "-", "source": SOURCE, "type": "tallystick.inference.v1", "time": datetime.now(UTC).isoformat(),
        "data": fields,
    }  # fmt: skip
    try:
        line = open_intake(settings.home, organization, ("inference",)).accept_event(event).line
    except Rejection as rejection:
        raise TallyError(f"{rejection}: give --set another value") from None
    data: dict[str, Any] = json.loads(line)["data"]
    return data
