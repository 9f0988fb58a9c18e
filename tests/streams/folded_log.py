"""A log in memory that is folded as it grows, for tests in which answers decide what comes next."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ledger.log import Record
from ledger.log.topics import DECISIONS
from streams.folds.chain import fold_record
from streams.folds.event import parse_record
from streams.folds.grants.meters import Meter, MeterKey, load_meter
from streams.folds.identity import Identities
from streams.folds.state import State
from streams.replay import open_catalogues
from tallystick import ANY_EVENT
from tests.streams.build import START, record


class FoldedLog:
    """One partition, with the state of its folds."""

    def __init__(self, documents: Mapping[str, bytes]) -> None:
        self.records: list[Record] = []
        self.state, self._identities = State(), Identities()
        self._catalogues = open_catalogues(documents)

    def append(self, *lines: bytes, at_s: float) -> list[dict[str, Any]]:
        """Append a record so many seconds after the start, and return the decisions that it causes, with their
        ``body`` read."""
        self.records.append(record(len(self.records), *lines, at_s=at_s))
        derived = fold_record(
            parse_record(self.records[-1]), self.state, self._identities, self._catalogues, self._read_line
        )
        decisions = [
            json.loads(line) for topic, out in derived if topic is DECISIONS for line in out.value.split(b"\n")
        ]
        self.state.take_changes()
        return [line | {"body": json.loads(line["body"])} for line in decisions if "body" in line]

    def read_meter(self, grant: str, limit_key: str) -> Meter:
        return load_meter(self.state, MeterKey("acme", grant, limit_key))

    def _read_line(self, offset: int, event_index: int) -> bytes:
        return self.records[offset].value.split(b"\n")[event_index]


def build_request(id: str, kind: str, at_s: float, data: Mapping[str, Any], source: str = "gateway") -> bytes:
    """Build a request as the intake writes it."""
    time = (START + timedelta(seconds=at_s)).isoformat()
    event = {"id": id, "source": source, "time": time, "type": f"tallystick.{kind}.v1", "data": data}
    return ANY_EVENT.validate_json(json.dumps(event)).canonical()
