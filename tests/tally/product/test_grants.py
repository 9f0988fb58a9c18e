"""Grants as they are shown: what is used, reserved, leased and left, when it refills, and why no call may be made."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.intake.batch import Envelope
from ledger.errors import TallyError
from ledger.log.documents import store_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tally.product.grants.answer import find_hint
from tally.product.grants.changes import complete_limits
from tally.product.grants.text import describe_grant, describe_limits, list_facts
from tally.product.grants.usage import Grants, read_grants, seal_scope
from tests.streams.build import DOCUMENTS, START, START_MS, adopt, call, control

DAY = {"rolling_s": 86_400}
MONEY = {"meter": "billed", "currency": "USD"}
Append = Callable[..., Grants]


def grant(name: str, control_type: str = "grant.created", **body: Any) -> bytes:
    if control_type in ("grant.created", "grant.delegated"):
        body = {"dimension": "team", "scope": name} | body
    return control(f"{control_type} {name}", control_type, grant=name, **body)


def ask(id: str, kind: str = "admission", **data: Any) -> bytes:
    event = {"specversion": "1.0", "id": id, "source": "app", "type": f"tallystick.{kind}.v1", "data": data}
    return json.dumps(event | {"time": START.isoformat()}).encode()


@pytest.fixture
def append(tmp_path: Path) -> Append:
    """Appends lines to a log, a record each, one every second from START on, and reads the grants."""
    seconds = itertools.count(START_MS // 1000)
    log = EmbeddedLog(tmp_path / "home", lambda: next(seconds))
    for digest, packed in DOCUMENTS.items():
        store_document(log, digest, packed)

    def append_lines(*lines: bytes) -> Grants:
        for line in (adopt(), *lines):
            log.append(EVENTS, [Envelope("acme", "test", "test").make_draft(line)])
        return read_grants(log, "acme")

    append_lines.log = log  # type: ignore[attr-defined]
    return append_lines


def test_a_log_without_grants_has_none(append: Append, tmp_path: Path) -> None:
    assert append().usages == []
    assert read_grants(EmbeddedLog(tmp_path / "empty"), "acme") == Grants("acme", None, [])


def test_use_and_what_is_left_are_those_of_every_limit_up_the_tree(append: Append) -> None:
    total = {"meter": "tokens", "amount": 5_000_000}
    grants = append(
        grant("product", dimension="organization", scope="acme", limits=[MONEY | {"amount": "10", "window": DAY}]),
        grant("search", parent="product", limits=[MONEY | {"amount": "4", "window": DAY}, total]),
        call("a", 10, team="search", tokens={"input": 1_000_000}),
        call("b", 10, team="else", tokens={"input": 500_000}),
        ask("00000000-0000-4000-8000-000000000001", team="search", provider="acme", model="m1", input_tokens=1_000_000,
            max_tokens=100_000),
        ask("00000000-0000-4000-8000-000000000002", "lease", holder="h", team="else", billed="1", currency="USD"),
    )  # fmt: skip
    product, search = grants.usages
    facts = list_facts(search, grants.time_us or 0)
    money, tokens = facts["limits"]
    zeros = "0" * 12
    assert (money["used"], money["reserved"], money["left"]) == (f"1.{zeros}", f"2.{zeros}", f"1.{zeros}")
    assert (tokens["used"], tokens["reserved"], tokens["left"]) == (1_000_000, 1_100_000, 2_900_000)
    assert money["refill_at"].startswith("2026-01-06T12:") and tokens["refill_at"] is None
    (money,) = list_facts(product, grants.time_us or 0)["limits"]
    assert (money["used"], money["reserved"], money["leased"]) == (f"1.5{zeros[1:]}", f"2.{zeros}", f"1.{zeros}")
    assert describe_limits(search) == (
        "billed:4USD/1d (1 left, 2 reserved), tokens:5M/total (2,900,000 left, 1,100,000 reserved)"
    )
    assert facts["above"] == ["product"] and grants.list_below("product") == [search]
    assert grants.list_of_scope("team", "search") == [search] and grants.list_of_scope("team", "product") == []


def test_a_grant_says_why_no_call_may_be_made_by_it(append: Append) -> None:
    grants = append(
        grant("a"), grant("b", parent="a"), grant("c", parent="b"), grant("d"),
        grant("e", expires_at="2026-01-05T12:00:08Z"), grant("b", "grant.revoked"),
        grant("d", "grant.narrowed", paused=True),
    )  # fmt: skip
    states = {usage.grant.name: usage.state for usage in append().usages}
    assert states == {"a": "active", "b": "revoked", "c": "revoked with b", "d": "paused", "e": "expired"}
    assert [usage.grant.name for usage in grants.usages] == ["a", "b", "c", "d", "e"]
    assert list(describe_grant(grants.usages[2]))[:2] == ["c: team c, revoked with b", "  within      b < a"]


def test_a_change_keeps_what_it_leaves_out_of_a_limit(append: Append) -> None:
    limit = MONEY | {"amount": "4", "window": DAY}
    former = {"thresholds": [70], "unknown_usage": "deny", "at_limit": "downgrade", "downgrade_to": "m2"}
    append(grant("search", limits=[limit | former]))
    log = append.log  # type: ignore[attr-defined]
    (completed,) = complete_limits(log, "acme", "search", [limit | {"amount": "2"}])
    assert completed == limit | {"amount": "2"} | former
    (completed,) = complete_limits(log, "acme", "search", [limit | {"at_limit": "deny", "thresholds": [5]}])
    assert completed == limit | {"at_limit": "deny", "thresholds": [5], "unknown_usage": "deny"}
    other = {"meter": "calls", "amount": "4"}
    assert complete_limits(log, "acme", "search", [other]) == [other] == complete_limits(log, "acme", "no", [other])


def test_a_scope_is_searched_as_it_stands_on_the_log(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, organization="acme")
    assert seal_scope(settings, "team", "search") == "search"
    person = seal_scope(settings, "user", "ann@example.com")
    assert "ann" not in person and seal_scope(settings, "user", person) == person
    with pytest.raises(TallyError, match=r"no grant is of the scope team=x+, which .*256"):
        seal_scope(settings, "team", "x" * 257)


def test_reasons_have_a_way_out() -> None:
    for reason, words in (
        ("there is a grant 'a' already: a name is given once", "another name"),
        ("there is no grant 'a'", "tally grant list"),
        ("models: x is not in 'a'", "tally grant extend"),
    ):
        assert words in str(find_hint(reason))


def test_what_is_kept_and_borrowed_is_shown_and_a_change_keeps_the_floor(append: Append) -> None:
    day = MONEY | {"window": DAY}
    grants = append(
        grant("product", dimension="organization", scope="acme", limits=[day | {"amount": "10"}]),
        grant("search", parent="product", limits=[day | {"amount": "6", "floor": "1", "lend": "0.5"}]),
        grant("chat", parent="product", limits=[day | {"amount": "10", "floor": "4"}]),
        call("a", 10, team="search", tokens={"input": 3_000_000}),
    )
    chat, product, search = sorted(grants.usages, key=lambda usage: usage.grant.name)
    assert describe_limits(search) == "billed:6USD/1d,floor=1,lend=0.5 (3 left, 2 borrowed)"
    assert describe_limits(product) == "billed:10USD/1d (3 left, 4 kept for floors)"
    assert list_facts(chat, 0)["limits"][0]["floor"] == f"4.{'0' * 12}"
    change = [day | {"amount": "5"}]
    (limit,) = complete_limits(append.log, "acme", "search", change)  # type: ignore[attr-defined]
    assert (limit["floor"], limit["lend"]) == (f"1.{'0' * 12}", f"0.{'5' + '0' * 11}")
    (limit,) = complete_limits(append.log, "acme", "search", [change[0] | {"floor": "0"}])  # type: ignore[attr-defined]
    assert "lend" not in limit
