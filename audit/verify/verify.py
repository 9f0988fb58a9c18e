"""Recompute the ledger from the log, and compare with the topic and the warehouse at the positions that both hold."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import localcontext
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from audit.verify import from_warehouse, verified_prefix
from audit.verify.models import Models, find_model_difference
from audit.verify.totals import COUNT_NAMES, Totals, find_derived_difference, find_first_difference
from audit.verify.workers import PRECISION, Progress, Reading, Task, read_partitions
from ledger.home.files import read_json, write_atomically
from ledger.home.layout import SINK, VERIFY_REPORT
from ledger.home.locks import locked
from ledger.log import PARTITIONS, Log, fold_offset
from ledger.log.topics import DERIVED, ENTRIES, EVENTS, Topic
from ledger.settings import Settings
from ledger.token_classes import QUANTITY_CLASSES, TOKEN_CLASSES


class Report(NamedTuple):
    """The totals of log, topic and warehouse, and their first difference."""

    log: Totals
    topic: Totals
    warehouse: Totals
    difference: dict[str, Any] | None
    bounds: from_warehouse.Bounds
    behind: int  # records that were not folded or stored when the verification began
    recomputed: int = 0  # records that were read now; the others were verified before
    views: int | None = None  # views whose definitions were compared; None where no models are built

    def as_json(self) -> dict[str, Any]:
        sources = {"log": self.log, "topic": self.topic, "warehouse": self.warehouse}
        currencies = sorted(
            {group.currency for totals in sources.values() for group in totals.groups if group.currency}
        )

        def costs(kind: str) -> dict[str, dict[str, str]]:
            return {
                currency: {name: totals.cost(currency, kind) for name, totals in sources.items()}
                for currency in currencies
            }

        def quantities(classes: tuple[str, ...]) -> dict[str, dict[str, int]]:
            amounts = {cls: {name: totals.quantity(cls) for name, totals in sources.items()} for cls in classes}
            return {cls: figures for cls, figures in amounts.items() if any(figures.values())}

        return {
            "events": {word: self.log.count_events(word) for word in COUNT_NAMES},
            "tokens": quantities(TOKEN_CLASSES),
            "cost": costs("billed_cost"),
            "difference": self.difference,
            "list_cost": costs("list_cost"),
            "quantities": quantities(QUANTITY_CLASSES),
            "decisions": dict(sorted(self.log.decisions.items())),
            "decisions_of_people": sum(times for key, times in self.log.control_counts.items() if key[1] == "control"),
            "ticks": sum(times for key, times in self.log.control_counts.items() if key[1] == "tick"),
            "positions": {str(partition): offset for partition, offset in sorted(self.bounds.items())},
            "behind": self.behind,
            "records": sum(offset + 1 for offset in self.bounds.values()),
            "recomputed": self.recomputed,
            "views": self.views,
        }


def verify(
    settings: Settings,
    log: Log,
    client: Client,
    progress: Progress = lambda record_count, total: None,
    *,
    models: Models | None = None,
    is_full: bool = False,
) -> Report:
    """Compare the totals of log, topic and warehouse, and the definitions of the models' views. The report is stored
    for the trust page.

    The log and the topics are read from the verified prefix on, or with ``is_full`` from their beginning. Every
    record up to the bounds must have its record on ``tally.entries``, caused by exactly these bytes. LogDamaged where
    the log names a document that it does not hold.
    """
    with localcontext(prec=PRECISION), locked(settings.run / "verify.lock"):
        if is_full:
            verified_prefix.discard_prefixes(settings)
        report, is_certain = _compare(settings, log, client, progress, models)
        if not is_certain:
            report, _ = _compare(settings, log, client, progress, models)
    document = report.as_json() | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
    write_atomically(VERIFY_REPORT.path(settings.home), json.dumps(document))
    return report


def _compare(
    settings: Settings, log: Log, client: Client, progress: Progress, models: Models | None
) -> tuple[Report, bool]:
    """Return the report, and whether it is certain: a topic that was derived anew may differ from what was verified of
    it, so such a difference is looked for once more, from the beginning."""
    ends = dict(enumerate(log.ends(EVENTS)))
    bounds = _read_bounds(settings, log, client)
    derived_bounds = _read_derived_bounds(settings, log, client, bounds)
    tasks, record_count = _list_tasks(settings, bounds, derived_bounds)
    warehouse_totals: list[Totals] = []
    readings = read_partitions(
        settings, log, tasks, record_count, progress,
        lambda: warehouse_totals.append(from_warehouse.read_totals(client, bounds, derived_bounds)),
    )  # fmt: skip
    progress(record_count, record_count)
    log_totals, topic_totals = _add_readings(readings, "log"), _add_readings(readings, "topic")
    views, model_difference = (None, None) if models is None else find_model_difference(client, models)
    reading_difference = next((reading.difference for reading in readings if reading.difference is not None), None)
    figure_difference = find_first_difference(log_totals, topic_totals, warehouse_totals[0])
    derived_difference = find_derived_difference(topic_totals, warehouse_totals[0])
    topic_difference = reading_difference or find_first_difference(log_totals, topic_totals, topic_totals)
    if figure_difference is None:
        topic_difference = topic_difference or derived_difference
    difference = (
        reading_difference
        or figure_difference
        or derived_difference
        or _find_row_beyond_log(log, from_warehouse.read_greatest_offsets(client))
    )
    if difference is not None:
        verified_prefix.discard_prefixes(settings)
    behind = sum(ends.values()) - sum(offset + 1 for offset in bounds.values())
    recomputed = sum(reading.record_count for reading in readings if reading.task.side == "log")
    report = Report(
        log_totals,
        topic_totals,
        warehouse_totals[0],
        difference or model_difference,
        bounds,
        max(behind, 0),
        recomputed,
        views,
    )
    is_everything = sum(reading.record_count for reading in readings) == 2 * sum(end + 1 for end in bounds.values())
    return report, topic_difference is None or is_everything


def _list_tasks(
    settings: Settings, bounds: from_warehouse.Bounds, derived_bounds: Mapping[str, from_warehouse.Bounds]
) -> tuple[list[Task], int]:
    """Return the tasks, the longest first, and the number of records that they have to read."""
    lengths = {
        partition: offset - verified_prefix.peek_offset(settings, partition) for partition, offset in bounds.items()
    }
    tasks: list[Task] = []
    for partition in sorted(bounds, key=lambda partition: -lengths[partition]):
        topic_bounds = {name: offsets[partition] for name, offsets in derived_bounds.items()}
        topic_bounds[ENTRIES.name] = bounds[partition]
        tasks += [Task("log", partition, topic_bounds), Task("topic", partition, topic_bounds)]
    return tasks, 2 * sum(max(length, 0) for length in lengths.values())


def _add_readings(readings: list[Reading], side: str) -> Totals:
    totals = Totals()
    for reading in readings:
        if reading.task.side == side:
            totals.add(reading.totals)
    return totals


def _read_bounds(settings: Settings, log: Log, client: Client) -> from_warehouse.Bounds:
    """Return the last offset of each partition that the folds have folded and the sink reports as stored.

    The tables do not tell it: a running insert fills them one after the other, and a lost insert leaves no trace. They
    are read only where no sink has reported.
    """
    sink_offsets = _read_sink_offsets(settings, ENTRIES)
    stored_offsets = from_warehouse.read_greatest_offsets(client) if sink_offsets is None else sink_offsets
    bounds: from_warehouse.Bounds = {}
    for partition in range(PARTITIONS):
        last_offset = min(fold_offset(log, partition) - 1, stored_offsets.get(partition, -1))
        if last_offset >= 0:
            bounds[partition] = last_offset
    return bounds


def _read_derived_bounds(
    settings: Settings, log: Log, client: Client, bounds: from_warehouse.Bounds
) -> dict[str, from_warehouse.Bounds]:
    """Return the offsets up to which decisions and alerts are compared: those of the entries, where all that stands on
    their topic is stored."""
    derived_bounds: dict[str, from_warehouse.Bounds] = {}
    for topic in DERIVED:
        if topic is ENTRIES:
            continue
        sink_offsets = _read_sink_offsets(settings, topic)
        derived_bounds[topic.name] = dict(bounds)
        for partition, offset in bounds.items():
            stored = None if sink_offsets is None else sink_offsets.get(partition, -1)
            if stored is not None and stored < fold_offset(log, partition, topic) - 1:
                derived_bounds[topic.name][partition] = min(stored, offset)
    return derived_bounds


def _read_sink_offsets(settings: Settings, topic: Topic) -> from_warehouse.Bounds | None:
    """Return the last offset of each partition that the sink reports as stored; None where no sink has reported."""

    def parse(content: Any) -> from_warehouse.Bounds:
        offsets = content[topic.name] if topic is ENTRIES else content.get(topic.name, {})
        return {int(partition): int(offset) for partition, offset in offsets.items()}

    return read_json(settings.home, SINK, parse)


def _find_row_beyond_log(log: Log, stored_offsets: from_warehouse.Bounds) -> dict[str, Any] | None:
    """Return a difference where the warehouse has rows beyond the log's end, which is read last as the log may grow."""
    for partition, offset in sorted(stored_offsets.items()):
        if offset >= (end := log.end(EVENTS, partition)):
            place = {"partition": str(partition), "offset": str(offset)}
            values = {"log": f"ends before {end}", "topic": "", "warehouse": "stands"}
            return {"what": "row beyond the log", "where": place, **values}
    return None
