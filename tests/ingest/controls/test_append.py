"""Decisions of people: what they say on the log, and how a price book reaches everyone."""

import json
import multiprocessing
from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from ingest.controls.append import append_control
from ingest.controls.budgets import set_budget
from ingest.controls.platform_relay import publish
from ingest.controls.prices import adopt_price_book, ensure_price_book
from ledger.errors import TallyError
from ledger.log import PARTITIONS, Draft, Record, partition_of, records
from ledger.log.documents import load_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DOCUMENTS, EVENTS, Topic
from ledger.organizations import PLATFORM
from ledger.pricing.price_book import PriceBook, unpack_book
from ledger.pricing.price_book_file import parse_book
from ledger.settings import Settings
from tallystick import ANY_EVENT

SPAWN = multiprocessing.get_context("spawn")
HOME = partition_of(PLATFORM)


def book(name: str = "mine", rate: int = 1) -> PriceBook:
    models = f"[{{id: m, prices: [{{rates: {{input: {rate}}}}}]}}]"
    return parse_book(f"{{name: {name}, currency: USD, providers: [{{id: a, models: {models}}}]}}", "the test")


def all_records(log: EmbeddedLog) -> dict[int, list[Record]]:
    return {partition: list(records(log, EVENTS, partition)) for partition in range(PARTITIONS)}


def test_a_budget_is_a_decision_that_names_nobody(tmp_path: Path) -> None:
    log, settings = EmbeddedLog(tmp_path), Settings(home=tmp_path)
    position = set_budget(log, settings, "acme", "user", "ann", Decimal("5.50"), "USD", 3600, "a trial", actor="bob")
    assert position == (partition_of("acme"), 0, 0)
    (record,) = records(log, EVENTS, position.partition)
    event = json.loads(record.value)
    assert ANY_EVENT.validate_json(record.value).canonical() == record.value
    assert record.headers["organization"] == "acme" and record.headers["channel"] == "control"
    data = event["data"]
    assert event["time"] == data["effective_at"] == data["recorded_at"] and event["source"] == "tally-cli"
    assert data["actor"].startswith("p_") and data["body"].pop("scope").startswith("p_")
    assert data["body"] == {"dimension": "user", "limit": "5.5", "currency": "USD", "window_s": 3600}
    assert b"ann" not in record.value and b"bob" not in record.value


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("team", "x", Decimal(-1), "USD", 60), "budget.allocated is not possible: body.limit: must be above zero"),
        (("team", "x", Decimal(0), "USD", 60), "body.limit: must be above zero"),
        (("tem", "x", Decimal(1), "USD", 60), "body.dimension: Input should be 'organization'"),
        (("team", "x", Decimal(1), "usd", 60), "body.currency: must be three capital letters, such as USD"),
        (("team", "x", Decimal(1), "USD", 61), "body.window_s: Input should be a multiple of 60"),
        (("team", "", Decimal(1), "USD", 60), "body.scope: String should have at least 1 character"),
        (("organization", "x", Decimal(1), "USD", 60), "body.scope: must be 'acme'"),
    ],
)
def test_what_cannot_be_decided_is_told(
    tmp_path: Path, wrong: tuple[str, str, Decimal, str, int], message: str
) -> None:
    log, settings = EmbeddedLog(tmp_path), Settings(home=tmp_path)
    with pytest.raises(TallyError) as error:
        set_budget(log, settings, "acme", *wrong)
    assert message in str(error.value) and log.end(EVENTS, partition_of("acme")) == 0


def test_an_unknown_decision_and_the_reserved_organization_are_told(tmp_path: Path) -> None:
    log, settings = EmbeddedLog(tmp_path), Settings(home=tmp_path)
    with pytest.raises(TallyError, match=r"control: must be a type that has a schema: agreement.declared"):
        append_control(log, settings, "budget.burnt", {}, organization="acme")
    with pytest.raises(TallyError, match="reserved"):
        append_control(log, settings, "team.x", {}, organization=PLATFORM)
    with pytest.raises(TallyError, match="reason"):
        append_control(log, settings, "subject.erased", {"subject": "x"}, organization="acme", reason="x" * 1001)


def test_a_book_is_stored_recorded_and_relayed_to_every_partition(tmp_path: Path) -> None:
    log, settings = EmbeddedLog(tmp_path), Settings(home=tmp_path)
    log.append(EVENTS, [Draft(partition, "x", {"organization": "x"}, b"") for partition in (0, HOME, HOME)])
    first = adopt_price_book(log, settings, book())
    second = adopt_price_book(log, settings, book(rate=2), "they went up")
    assert (first.new, first.position, second.position) == (True, (HOME, 2, 0), (HOME, 3, 0))
    packed = load_document(log, second.document)
    assert packed and unpack_book(second.document, packed) == book(rate=2)
    first_original, second_original = all_records(log)[HOME][2:]
    assert (
        "relay_of" not in first_original.headers
        and json.loads(second_original.value)["data"]["reason"] == "they went up"
    )
    for partition, partition_records in all_records(log).items():
        if partition == HOME:
            continue
        relays = [record for record in partition_records if record.key == PLATFORM]
        assert [(record.value, record.headers["organization"]) for record in relays] == [
            (first_original.value, PLATFORM), (second_original.value, PLATFORM),
        ]  # fmt: skip
        assert [(record.headers["relay_of"], record.headers["relay_after"]) for record in relays] == [
            (f"{HOME}:2", ""), (f"{HOME}:3", f"{HOME}:2"),
        ]  # fmt: skip


def test_the_book_in_force_changes_nothing(tmp_path: Path) -> None:
    log, settings = EmbeddedLog(tmp_path), Settings(home=tmp_path)
    first = adopt_price_book(log, settings, book())
    adopt_price_book(log, settings, book("other"))
    repeated = adopt_price_book(log, settings, book())
    assert repeated == (first.position, first.document, False)
    assert log.end(EVENTS, HOME) == 2 and log.end(DOCUMENTS, 0) == 2
    adopt_price_book(log, settings, book(rate=2))
    restored = adopt_price_book(log, settings, book())
    assert restored.new and log.end(EVENTS, HOME) == 4 and log.end(DOCUMENTS, 0) == 3


def _ensure(home: Path) -> None:
    ensure_price_book(EmbeddedLog(home), Settings(home=home))


def test_a_new_home_gets_the_catalogue_once(tmp_path: Path) -> None:
    starts = [SPAWN.Process(target=_ensure, args=(tmp_path,)) for _ in range(3)]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    by_partition = all_records(EmbeddedLog(tmp_path))
    assert {len(records) for records in by_partition.values()} == {1}
    assert json.loads(by_partition[0][0].value)["data"]["body"]["name"] == "genai-prices"


class Dies(Exception):
    pass


class Mortal(EmbeddedLog):
    """A log whose publisher dies before its n-th append, counted from 0."""

    def __init__(self, home: Path, dies_at: int) -> None:
        super().__init__(home)
        self._appends_left = dies_at

    def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
        if topic is EVENTS:
            if self._appends_left == 0:
                raise Dies
            self._appends_left -= 1
        return super().append(topic, drafts)


def collect_relays(log: EmbeddedLog) -> set[tuple[tuple[str, str], ...]]:
    """Collect each partition's relays, without repeats. The set has one member where all have the same."""
    return {
        tuple({(record.headers["relay_of"], record.headers["relay_after"]): None for record in partition_records})
        for partition, partition_records in all_records(log).items()
        if partition != HOME
    }


@pytest.mark.parametrize("dies_at", range(PARTITIONS + 1))
def test_what_a_dead_publisher_left_is_completed(tmp_path: Path, dies_at: int) -> None:
    """By whoever asks for the same again, by whoever decides next, and at a first start by the next start."""
    for name, next_book in {"same": book(), "other": book("other")}.items():
        settings = Settings(home=tmp_path / name)
        ensure_price_book(EmbeddedLog(settings.home), settings)
        with suppress(Dies):
            adopt_price_book(Mortal(settings.home, dies_at), settings, book())
        log = EmbeddedLog(settings.home)
        adopt_price_book(log, settings, next_book)
        (relays,) = collect_relays(log)
        assert len(relays) == len(all_records(log)[HOME]) == (3 if name == "other" and dies_at else 2)
    settings = Settings(home=tmp_path / "first")
    with suppress(Dies):
        ensure_price_book(Mortal(settings.home, dies_at), settings)
    ensure_price_book(log := EmbeddedLog(settings.home), settings)
    assert [len(relays) for relays in collect_relays(log)] == [len(all_records(log)[HOME])] == [1]


def test_two_who_decide_at_once_are_relayed_in_one_order(tmp_path: Path) -> None:
    """Two homes on one cluster share no lock: the second's decision comes between the first's and its relays."""
    settings = Settings(home=tmp_path)

    class Slow(EmbeddedLog):
        others_published = 0

        def append(self, topic: Topic, drafts: Sequence[Draft]) -> list[Record]:
            appended = super().append(topic, drafts)
            if topic is EVENTS and not self.others_published:
                self.others_published = 1
                publish(EmbeddedLog(tmp_path), all_records(self)[HOME][0].value)
            return appended

    adopt_price_book(Slow(tmp_path), settings, book())
    (relays,) = collect_relays(EmbeddedLog(tmp_path))
    assert [after for _, after in relays] == ["", f"{HOME}:0"]
