"""The feed of decisions over a log in memory, exact from every position; and the states of grants."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.api.decisions import feed as feed_module
from ingest.api.decisions import messages
from ingest.api.decisions.feed import Feed
from ingest.api.decisions.grant_states import GrantStates
from ingest.api.decisions.position import DecisionPosition, parse_decision_position
from ledger import envelope
from ledger.log import Record, partition_of
from ledger.log.topics import DECISIONS, Topic

ORGANIZATION = "acme"
PARTITION = partition_of(ORGANIZATION)
HOUR_US = 3_600_000_000
COUNTS = st.lists(st.integers(0, 4), min_size=1, max_size=40)
"""Decisions that each record of the log caused."""


class MemoryLog:
    """Decisions of one partition; ``gap`` offsets lie between records, as transactions take some on Kafka."""

    def __init__(self, lines: Sequence[Sequence[dict[str, Any]]], gap: int = 0) -> None:
        self.generation = 1
        self.records = [
            Record(
                PARTITION, number * (1 + gap), 0, ORGANIZATION, {envelope.CAUSE_OFFSET: str(group[0]["offset"])},
                b"\n".join(json.dumps(line, separators=(",", ":")).encode() for line in group),
            )
            for number, group in enumerate(group for group in lines if group)
        ]  # fmt: skip

    def follow(self) -> None:
        pass

    def end(self, topic: Topic, partition: int) -> int:
        return self.records[-1].offset + 1 if self.records else 0

    def last(self, topic: Topic, partition: int) -> Record | None:
        assert (topic, partition) == (DECISIONS, PARTITION)
        return self.records[-1] if self.records else None

    def read(self, topic: Topic, partition: int, offset: int, max_bytes: int = 0) -> list[Record]:
        """Return two records at most, so that there are many pages."""
        return [record for record in self.records if record.offset >= offset][:2]


def build_line(offset: int, seq: int, decision: str = "grant.crossed", **fields: Any) -> dict[str, Any]:
    body = {"grant": "g", "limit": "calls//total", "amount": 9, "used": 9, "thresholds": [100], "past": False}
    body |= fields.pop("body", {})
    return {
        "partition": PARTITION, "offset": offset, "seq": seq, "accepted_ms": 1_000, "organization": ORGANIZATION,
        "event_index": 0, "decision": decision, "body": json.dumps(body, separators=(",", ":")),
    } | fields  # fmt: skip


def build_log(counts: Sequence[int], gap: int = 0) -> MemoryLog:
    return MemoryLog(
        [[build_line(offset, seq + 1) for seq in range(count)] for offset, count in enumerate(counts)], gap
    )


async def read_all(feed: Feed, position: DecisionPosition) -> list[DecisionPosition]:
    """Read all pages after a position."""
    positions: list[DecisionPosition] = []
    while True:
        page = await feed.read_after(position)
        if not page.decisions:
            return positions
        positions += [decision.position for decision in page.decisions]
        position = page.position


@given(COUNTS, st.integers(0, 2))
@settings(deadline=None)
def test_every_position_is_followed_by_exactly_what_comes_after_it(counts: list[int], gap: int) -> None:
    async def run() -> None:
        feed = Feed(lambda: build_log(counts, gap), is_woken=True)  # type: ignore[arg-type, return-value]
        async with feed.subscribe(PARTITION):
            expected = [
                DecisionPosition(PARTITION, offset, seq + 1)
                for offset, count in enumerate(counts)
                for seq in range(count)
            ]
            for index, position in enumerate([DecisionPosition(PARTITION), *expected]):
                assert await read_all(feed, position) == expected[index:]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed_module, "MAX_RECENT", 5)
        asyncio.run(run())


def test_new_decisions_wake_a_subscriber_and_a_new_generation_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "WOKEN_POLL_INTERVAL_S", 600)
    log = build_log([1])

    async def run() -> None:
        feed = Feed(lambda: log, is_woken=True)  # type: ignore[arg-type, return-value]
        async with feed.subscribe(PARTITION):
            position = (await feed.read_after(DecisionPosition(PARTITION))).position
            waiting = asyncio.create_task(feed.wait_for_news(position, 60))
            log.records += build_log([0, 1]).records
            log.records[-1] = log.records[-1]._replace(offset=1)
            feed.wake()
            await waiting
            assert await read_all(feed, position) == [DecisionPosition(PARTITION, 1, 1)]
            log.generation, log.records = 2, build_log([1, 1, 1]).records
            waiting = asyncio.create_task(feed.wait_for_news(DecisionPosition(PARTITION, 1, 1), 60))
            feed.wake()
            await waiting
            assert await read_all(feed, DecisionPosition(PARTITION, 1, 1)) == [DecisionPosition(PARTITION, 2, 1)]
            feed.end()
            await feed.wait_for_news(DecisionPosition(PARTITION, 9, 9), 60)

    asyncio.run(run())


def test_a_log_that_cannot_be_read_ends_the_wait() -> None:
    log = build_log([1])

    async def run() -> None:
        feed = Feed(lambda: log, is_woken=True)  # type: ignore[arg-type, return-value]
        async with feed.subscribe(PARTITION):
            log.follow = lambda: 1 / 0  # type: ignore[assignment, method-assign]
            feed.wake()
            with pytest.raises(ZeroDivisionError):
                await feed.wait_for_news(DecisionPosition(PARTITION, 9, 9), 60)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (build_line(0, 1), "exhausted"),
        (build_line(0, 1, body={"thresholds": [50, 80]}), "threshold"),
        (build_line(0, 1, body={"past": True}), None),
        (build_line(0, 1, "grant.rearmed"), "refilled"),
        (build_line(0, 1, "admission.decided", body={"answer": "deny", "reason": "limit"}), "refused"),
        (build_line(0, 1, "lease.refused", body={"reason": "limit"}), "refused"),
        (build_line(0, 1, "admission.decided", body={"answer": "deny", "reason": "reserved"}), None),
        (build_line(0, 1, "control.applied", control_type="grant.revoked"), "stopped"),
        (build_line(0, 1, "control.applied", control_type="grant.narrowed", body={"paused": True}), "frozen"),
        (build_line(0, 1, "control.applied", control_type="grant.extended", body={"paused": False}), "resumed"),
        (build_line(0, 1, "control.applied", control_type="grant.extended", body={"limits": [{}]}), "refilled"),
        (build_line(0, 1, "control.applied", control_type="grant.narrowed", body={"limits": [{}]}), "changed"),
    ],
)
def test_each_decision_has_its_kind(line: dict[str, Any], kind: str | None) -> None:
    decisions = list(messages.read_decisions(MemoryLog([[line]]).records[0]))
    assert [decision.kind for decision in decisions if decision.kind is not None] == ([] if kind is None else [kind])
    assert not list(messages.read_decisions(MemoryLog([[build_line(0, 1, "threshold.crossed")]]).records[0]))
    foreign = build_line(0, 1, "control.applied", control_type="period.closed", body={"grant": "grant."})
    assert not list(messages.read_decisions(MemoryLog([[foreign]]).records[0]))


def apply(states: GrantStates, decision: str, body: dict[str, Any], control_type: str = "") -> None:
    states.apply({"decision": decision, "control_type": control_type, "known_us": 5}, body)


def test_a_limit_is_exhausted_until_time_or_a_person_makes_room() -> None:
    states = GrantStates()
    created = {"grant": "g", "dimension": "team", "scope": "s"}
    crossed = {"grant": "g", "limit": "calls//60s", "amount": 9, "used": 10, "thresholds": [80, 100], "past": False}
    limit = {"meter": "calls", "window": {"rolling_s": 60}}
    apply(states, "grant.crossed", crossed)  # of a grant that is not known
    apply(states, "control.applied", created, "grant.created")
    state = states.grants["g"]
    apply(states, "grant.crossed", crossed | {"past": True})
    apply(states, "grant.crossed", crossed | {"thresholds": [50]})
    assert not state.exhausted
    apply(states, "grant.crossed", crossed)
    apply(states, "grant.rearmed", {"grant": "g", "limit": "calls//60s", "thresholds": [50]})
    apply(states, "control.applied", {"grant": "g", "limits": [limit | {"amount": 10}]}, "grant.extended")
    assert list(state.exhausted) == ["calls//60s"]
    apply(states, "control.applied", {"grant": "g", "limits": [limit | {"amount": 11}]}, "grant.extended")
    assert not state.exhausted
    apply(states, "grant.crossed", crossed)
    apply(states, "grant.rearmed", {"grant": "g", "limit": "calls//60s", "thresholds": [100]})
    assert not state.exhausted


def test_time_ends_grants_and_pauses_but_no_pause_of_a_person() -> None:
    states = GrantStates()
    for name in ("ends", "freed", "held", "revoked"):
        created = {"grant": name, "dimension": "team", "scope": name, "expires_at": "1970-01-01T03:00:00Z"}
        apply(states, "control.applied", created, "grant.created")
    for name, hours in (("freed", (1, 2)), ("held", (1,))):
        for hour in hours:
            until = f"1970-01-01T0{hour}:00:00Z"
            apply(states, "control.applied", {"grant": name, "paused": True, "until": until}, "grant.narrowed")
    apply(states, "control.applied", {"grant": "held", "paused": True}, "grant.narrowed")
    apply(states, "control.applied", {"grant": "revoked"}, "grant.revoked")
    changes = states.list_timed_changes(0, 9 * HOUR_US)
    assert [(change.time_us // HOUR_US, change.kind, change.grant) for change in changes] == [
        (2, "resumed", "freed"), (3, "stopped", "ends"), (3, "stopped", "freed"), (3, "stopped", "held"),
    ]  # fmt: skip
    assert states.find_next_change_us(0) == 2 * HOUR_US and states.find_next_change_us(3 * HOUR_US) is None
    assert states.list_timed_changes(2 * HOUR_US, 2 * HOUR_US) == []


@pytest.mark.parametrize("text", ["", "x", "1-2", "99-1-1", "1-2-3-4", "-1-2-3", "\uff11-2-3"])
def test_a_text_that_is_no_position_is_none(text: str) -> None:
    assert parse_decision_position(text) is None
    assert parse_decision_position(str(DecisionPosition(3, 1801, 2))) == DecisionPosition(3, 1801, 2)
