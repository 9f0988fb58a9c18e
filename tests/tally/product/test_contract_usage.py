"""``tally contract show``: what calls use of commitments, and what is left of the present period."""

import json
import random
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger.log import Draft, partition_of, records
from ledger.log.documents import store_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import ENTRIES, EVENTS
from ledger.pricing.contract import Contract, pack_contract
from ledger.pricing.contract_file import parse_contract
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from streams.embedded.store import Store
from streams.embedded.worker import Partition
from streams.runtime import read_catalogues
from tally.product.contracts.usage import describe_state, read_usage
from tests.streams.build import control
from tests.tally.conftest import invoke

BOOK = """
name: base
currency: USD
providers: [{id: acme, models: [{id: lion, prices: [{rates: {input: 2, output: 10}}]}]}]
"""
NOW = datetime(2026, 3, 15, 12, 30, tzinfo=UTC)
HEADERS = {"organization": "acme", "channel": "test", "principal": "test", "schema": "1", "refused": "0"}
PERIODS = {
    "hour": ("2026-03-15T12:00:00Z", "2026-03-15T13:00:00Z"),
    "day": ("2026-03-15T00:00:00Z", "2026-03-16T00:00:00Z"),
    "month": ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"),
    "year": ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    "contract": (None, None),
}


def inference(id: str, time: datetime, revision: int = 0, **tokens: int) -> bytes:
    fields = {"source": "app", "id": id, "time": time.isoformat(), "type": "tallystick.inference.v1"}
    data = {"provider": "acme", "model": "lion", "tokens": tokens}
    return json.dumps(fields | {"data": data | ({"revision": revision} if revision else {})}).encode()


def reversal(id: str, time: datetime) -> bytes:
    fields = {"source": "app", "id": f"undo-{id}", "time": time.isoformat(), "type": "tallystick.correction.v1"}
    return json.dumps(
        fields | {"data": {"action": "reversal", "of": {"source": "app", "id": id}, "reason": "wrong"}}
    ).encode()


def fold(home: Path, contract: Contract, *lines: bytes) -> EmbeddedLog:
    """Sign a contract on a new log, append lines, a record each, and fold them."""
    log = EmbeddedLog(home)
    book, contract_packed = pack_book(parse_book(BOOK, "base")), pack_contract(contract)
    for name, packed in (book, contract_packed):
        store_document(log, name, packed)
    adoption = control("adopt", "price_book.adopted", name="base", document=book[0])
    signing = control("sign", "contract.signed", name=contract.name, document=contract_packed[0])
    partition = partition_of("acme")
    for line in (adoption, signing, *lines):
        log.append(EVENTS, [Draft(partition, "acme", HEADERS, line)])
    store = Store(home)
    worker = Partition(partition, log, store, read_catalogues(log))
    while worker.step():
        pass
    store.close()
    return log


def sum_covered(log: EmbeddedLog, start: str | None, end: str | None) -> Decimal:
    """Sum what commitments covered of the entries of a period, from the entries alone."""
    covered = Decimal(0)
    for record in records(log, ENTRIES, partition_of("acme")):
        for line in map(json.loads, record.value.split(b"\n")):
            time = datetime.fromtimestamp(line.get("time_us", 0) / 1_000_000, UTC)
            if (start is None or time >= datetime.fromisoformat(start)) and (
                end is None or time < datetime.fromisoformat(end)
            ):
                for part in line.get("lines", ()):
                    covered += Decimal(part["effective_cost"]) - Decimal(part["billed_cost"])
    return covered


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("kind", ["units: 500, rates: {input: 1, output: 1}", "amount: 0.001"])
@pytest.mark.parametrize("seed", range(3))
def test_usage_is_what_the_entries_of_the_period_were_covered_by(
    tmp_path: Path, period: str, kind: str, seed: int
) -> None:
    """Revisions and reversals give back what they used, and calls of other periods count in their own."""
    choice = random.Random(seed)
    contract = parse_contract(
        f"{{name: c, currency: USD, commitments: [{{name: only, period: {period}, {kind}}}]}}", "the test"
    )
    lines = []
    for number in range(30):
        time = NOW - choice.choice((timedelta(minutes=5), timedelta(hours=3), timedelta(days=3), timedelta(days=300)))
        lines.append(inference(str(number), time, input=choice.randint(1, 50), output=choice.randint(0, 9)))
        change = choice.random()
        if change < 0.2:
            lines.append(inference(str(number), time, revision=1, input=choice.randint(1, 50)))
        elif change < 0.4:
            lines.append(reversal(str(number), time))
    with closing(fold(tmp_path, contract, *lines)) as log:
        (usage,) = read_usage(log, "acme", contract, NOW)
        facts = usage.as_json()
        assert (facts["period_start"], facts["period_end"]) == PERIODS[period]
        covered = sum_covered(log, *PERIODS[period])
    if usage.kind == "units":
        assert covered == Decimal(usage.used) / 1_000_000 and usage.size == 500
    else:
        assert covered == Decimal(facts["used"]) and facts["size"] == "0.001000000000"
    assert 0 <= usage.used <= usage.size and usage.left == usage.size - usage.used


def test_what_an_earlier_contract_of_the_name_used_is_included(tmp_path: Path) -> None:
    commitments = "commitments: [{name: pot, period: month, units: 2000, rates: {input: 1}}]"
    first = parse_contract(f"{{name: c, currency: USD, {commitments}}}", "the test")
    later = parse_contract(f"{{name: c, currency: USD, since: 2026-03-15T00:00:00Z, {commitments}}}", "the test")
    packed = pack_contract(later)
    signing = control("again", "contract.signed", name="c", document=packed[0])
    with closing(EmbeddedLog(tmp_path)) as log:
        store_document(log, *packed)
    calls = inference("a", NOW - timedelta(days=3), input=300), signing, inference("b", NOW, input=1_100)
    with closing(fold(tmp_path, first, *calls)) as log:
        facts = read_usage(log, "acme", later, NOW)[0].as_json()
    assert (facts["used"], facts["left"], facts["period_start"]) == (1_400, 600, "2026-03-15T00:00:00Z")


def test_what_a_rate_of_zero_covers_is_used_too(tmp_path: Path) -> None:
    text = "{name: c, currency: USD, commitments: [{name: free, period: day, units: 10, rates: {input: 0}}]}"
    contract = parse_contract(text, "the test")
    with closing(fold(tmp_path, contract, inference("a", NOW, input=4))) as log:
        (usage,) = read_usage(log, "acme", contract, NOW)
    assert (usage.used, usage.left, str(usage.used_percent)) == (4, 6, "40.0")
    assert usage.format_amount(1_500_000) == "1,500,000"


def test_a_period_ends_with_its_contract_and_an_expired_one_shows_its_last(tmp_path: Path) -> None:
    times = "since: 2026-03-10T00:00:00Z, until: 2026-03-20T00:00:00Z"
    text = f"{{name: c, currency: USD, {times}, commitments: [{{name: m, period: month, amount: 1}}]}}"
    contract = parse_contract(text, "the test")
    with closing(fold(tmp_path, contract, inference("a", NOW, input=1_000))) as log:
        for now in (NOW, NOW + timedelta(days=100), NOW - timedelta(days=100)):
            facts = read_usage(log, "acme", contract, now)[0].as_json()
            assert (facts["period_start"], facts["period_end"]) == ("2026-03-10T00:00:00Z", "2026-03-20T00:00:00Z")
            assert facts["used"] == "0.002000000000" and facts["used_percent"] == "0.2"
    assert describe_state(contract, NOW) == "expires 2026-03-20 00:00 UTC, in 4 days"
    assert describe_state(contract, NOW + timedelta(days=5)) == "expired 2026-03-20 00:00 UTC, less than a day ago"
    future = "begins 2026-03-10 00:00 UTC, in 1 day; expires 2026-03-20 00:00 UTC, in 11 days"
    assert describe_state(contract, NOW - timedelta(days=7)) == future


def test_a_contract_is_shown_with_what_is_left(tmp_path: Path) -> None:
    text = """
name: spend-2026
currency: USD
terms: [{discount: 50}]
commitments: [{name: pot, period: contract, amount: 0.01}]
"""
    contract = parse_contract(text, "the test")
    fold(tmp_path, contract, inference("a", NOW, input=1_000)).close()
    home: dict[str, str] = {"TALLY_HOME": str(tmp_path), "COLUMNS": "160"}
    lines = invoke("contract", "show", "spend-2026", "--org", "acme", **home).stdout.splitlines()
    assert (
        lines[0] == "spend-2026: USD, with any provider"
        and lines[1] == "  term 0      every call: 50 % off every class"
    )
    assert "never expires, until it is ended" in lines[4]
    (row,) = (line for line in lines if line.strip().startswith("pot"))
    assert row.split()[-4:] == ["0.01", "0.001", "0.009", "10.0"]
    facts: Any = json.loads(invoke("contract", "show", "spend-2026", "--org", "acme", "--json", **home).stdout)
    assert facts["commitments"][0]["left"] == "0.009000000000" and facts["contract"]["terms"][0]["discount"] == "50"
    unknown = invoke("contract", "show", "spend", "--org", "acme", **home)
    assert unknown.returncode == 2 and "'spend'" in unknown.stderr and "in force: spend-2026" in unknown.stderr
