"""Explanations of admissions: every answer, the limits as the ask met them, and commands that do what they say."""

import itertools
import json
import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ingest.intake.batch import Envelope
from ledger.errors import TallyError
from ledger.log.documents import store_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from tally.cli.arguments import parse_time
from tally.cli.grant_options import build_allow, build_limits
from tally.product.grants.changes import complete_limits
from tally.product.grants.explanation import Explanation, explain_admission
from tally.product.grants.explanation_text import describe_explanation, list_explanation_facts
from tests.streams.build import DOCUMENTS, START, START_MS, adopt, call, control, correction
from tests.tally.conftest import invoke

MONEY = {"meter": "billed", "currency": "USD", "window": {"rolling_s": 86_400}}
CALLS = {"meter": "calls", "window": {"calendar": "day"}}
CALL = {"team": "search", "provider": "acme", "model": "m1", "input_tokens": 1_000_000, "max_tokens": 0}


class Home:
    """A log on which a record comes each second from START on."""

    def __init__(self, log: EmbeddedLog) -> None:
        self.log, self.count = log, 0

    def append(self, *lines: bytes) -> None:
        self.log.append(EVENTS, [Envelope("acme", "test", "test").make_draft(b"\n".join(lines))])

    def grant(self, name: str, control_type: str = "grant.created", **body: Any) -> None:
        self.count += 1
        if control_type == "grant.created":
            body = {"dimension": "team", "scope": name} | body
        self.append(control(f"{self.count}", control_type, grant=name, **body))

    def extend(self, command: str) -> None:
        """Do what a command says."""
        *command_words, name = shlex.split(command)[:4]
        assert command_words == ["tally", "grant", "extend"]
        options = shlex.split(command)[4:]
        values = {option: value for option, value in itertools.pairwise(options) if option.startswith("--")}
        limits = [value for option, value in itertools.pairwise(options) if option == "--limit"]
        body: dict[str, Any] = {}
        if limits:
            first_month = int(values["--first-month"]) if "--first-month" in values else None
            built = build_limits(limits, None, None, values.get("--unknown-usage"), first_month)
            body["limits"] = complete_limits(self.log, "acme", name, built)
        if "--resume" in options:
            body["paused"] = False
        if "--expires" in options:
            body["expires_at"] = parse_time(values["--expires"], "--expires")
        lists = {option[2:]: value for option, value in values.items() if option[2:] in ("models", "regions")}
        if lists:
            body["allow"] = build_allow(lists)
        self.grant(name, "grant.extended", **body)

    def explain(self, admission: str) -> Explanation:
        return explain_admission(self.log, "acme", admission)


def ask(id: str, **data: Any) -> bytes:
    event = {"specversion": "1.0", "id": id, "source": "app", "type": "tallystick.admission.v1", "data": CALL | data}
    return json.dumps(event | {"time": START.isoformat()}).encode()


def lease(id: str, **data: Any) -> bytes:
    event = {"specversion": "1.0", "id": id, "source": "app", "type": "tallystick.lease.v1", "data": data}
    return json.dumps(event | {"time": START.isoformat()}).encode()


def release(admission: str) -> bytes:
    event = json.loads(ask(f"release {admission}"))
    return json.dumps(event | {"data": {"action": "release", "admission": admission}}).encode()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    seconds = itertools.count(START_MS // 1000)
    with closing(EmbeddedLog(tmp_path / "home", lambda: next(seconds))) as log:
        for digest, packed in DOCUMENTS.items():
            store_document(log, digest, packed)
        home = Home(log)
        home.append(adopt())
        yield home


def describe(explanation: Explanation) -> str:
    assert json.dumps(list_explanation_facts(explanation))
    return "\n".join(describe_explanation(explanation, {}))


def test_an_admission_is_explained_with_what_came_after(home: Home) -> None:
    home.grant("product", dimension="organization", scope="acme", limits=[CALLS | {"amount": 10}])
    home.grant("search", parent="product", limits=[MONEY | {"amount": "4"}, CALLS | {"amount": 2, "at_limit": "warn"}])
    home.append(call("before", 10, team="search", tokens={"input": 500_000}))
    home.append(ask("first"), ask("second"), ask("third", ttl_s=10))
    home.append(call("one", 10, team="search", tokens={"input": 2_500_000}, admission="first"))
    home.append(release("second"))
    first, second = home.explain("first"), home.explain("second")
    assert {limit.usage.limit.key: (limit.usage.used, limit.usage.reserved) for limit in first.limits} == {
        "billed/USD/86400s": (500_000_000_000, 0), "calls//day@UTC": (1, 0),
    }  # fmt: skip
    assert [limit.usage.reserved for limit in second.limits if limit.grant == "search"] == [10**12, 1]
    text = describe(first)
    assert "Admission first: allowed" in text and "by          grants product, search" in text
    assert "settled" in text and " 2.5 of billed/USD/86400s (search)" in text
    assert first.way_out == ((), ())
    assert "released" in describe(second)
    third = home.explain("third")
    assert third.decision["warnings"] == [{"grant": "search", "limit": "calls//day@UTC"}]
    assert "warned" in describe(third)


def test_what_a_call_spent_beyond_its_reservation_is_told(home: Home) -> None:
    home.grant("search", limits=[MONEY | {"amount": "1"}])
    home.append(ask("tight"), ask("refused"))
    home.append(call("big", 10, team="search", tokens={"input": 1_500_000}, admission="tight"))
    text = describe(home.explain("tight"))
    assert "counted 1.5 of billed/USD/86400s (search); beyond its limits by 0.5 of billed/USD/86400s (search)" in text
    refused = home.explain("refused")
    assert (refused.decision["answer"], refused.decision["reason"]) == ("deny", "reserved")
    text = describe(refused)
    assert "calls under way hold" in text and "may help" in text and "tally grant extend search" in text


def test_an_expired_reservation_and_one_under_way_are_told(home: Home) -> None:
    home.grant("search", limits=[MONEY | {"amount": "9"}])
    home.append(ask("short", ttl_s=10), ask("long"))
    assert "nothing yet: reserved until 2026-01-05 12:15:03" in describe(home.explain("long"))
    for number in range(12):
        home.append(call(f"later {number}", 0))
    assert "expired 2026-01-05 12:00:13: gave back 1 of billed" in describe(home.explain("short"))


def test_what_was_not_known_of_a_call_and_its_corrections_are_told(home: Home) -> None:
    home.grant("search", limits=[MONEY | {"amount": "9"}])
    home.append(ask("a"), ask("b"))
    home.append(call("odd", 3, team="search", admission="a", tokens=None, usage_source="missing"))
    home.append(call("plain", 3, team="search", admission="b", tokens={"input": 500_000}))
    assert "its cost was not known (usage missing), so limits counted its bound" in describe(home.explain("a"))
    assert "became" not in describe(home.explain("b")) and "not known" not in describe(home.explain("b"))
    home.append(correction("r", "odd", replacement={"team": "search", "model": "m1", "tokens": {"input": 20_000}}))
    home.append(call("plain", 3, team="search", tokens={"input": 700_000}, revision=1))
    home.append(correction("s", "odd"))
    lines = [line for line in describe(home.explain("a")).splitlines() if "corrected" in line]
    assert [line.partition(" (")[2] for line in lines] == [
        "replacement): 0 USD and what is not known, 0 tokens became 0.02 USD, 20,000 tokens",
        "reversal): 0.02 USD, 20,000 tokens became nothing",
    ]
    (line,) = (line for line in describe(home.explain("b")).splitlines() if "corrected" in line)
    assert "(revision): 0.5 USD, 500,000 tokens became 0.7 USD, 700,000 tokens" in line


def test_a_lease_is_explained_with_what_its_holder_spent(home: Home) -> None:
    home.grant("search", limits=[MONEY | {"amount": "8"}, CALLS | {"amount": 2}])
    fields: dict[str, Any] = {"team": "search", "billed": "5", "currency": "USD", "calls": 9, "holder": "gateway"}
    home.append(lease("l-1", **fields))
    home.append(lease("l-2", team="search", billed="5", currency="USD"))
    first = f"l-1/1/billed={10**12},calls=1"
    home.append(call("one", 3, team="search", admission=first, tokens={"input": 300_000}))
    text = describe(home.explain("l-1"))
    assert "Lease l-1: given" in text and "billed 5, currency USD, calls 9, holder gateway, team search" in text
    assert "leased      2 of billed/USD/86400s (search), 1 of calls//day@UTC (search)" in text
    assert "1 call settled" in text and "counted 0.3 of billed/USD/86400s (search), 1 of calls//day@UTC" in text
    assert {limit.usage.limit.key: limit.amount for limit in home.explain("l-1").limits} == {
        "billed/USD/86400s": 5 * 10**12, "calls//day@UTC": 9,
    }  # fmt: skip
    home.append(lease("back", action="return", lease="l-1", billed="0.5", currency="USD"))
    text = describe(home.explain("l-1"))
    assert "returned 2026-01-05 12:00:06: 0.5 of billed/USD/86400s (search)" in text, text
    text = describe(home.explain(first))
    assert f"Admission {first}, from lease l-1" in text and "settled" in text and "returned" not in text
    text = describe(home.explain("l-2"))
    assert "Lease l-2: refused" in text and "counts what this lease names no amount of" in text


def test_a_scope_without_grants_asks_for_none(home: Home) -> None:
    home.append(ask("free"))
    explanation = home.explain("free")
    assert "no grant: none of its scopes has one" in describe(explanation) and explanation.limits == []


SMALL, WIDE = MONEY | {"amount": "0.5"}, MONEY | {"amount": "100"}
USED = call("before", 10, team="search", tokens={"input": 300_000})
REFUSALS: dict[str, tuple[list[dict[str, Any]], list[bytes], dict[str, Any], str, str]] = {
    "limit": ([{"limits": [SMALL]}], [USED], {}, "deny", "has 0.2"),
    "a limit that throttles": (
        [{"limits": [MONEY | {"amount": "1", "at_limit": "throttle"}]}], [USED], {}, "throttle", "helps from 2026",
    ),
    "a limit above": (
        [{"limits": [SMALL]}, {"limits": [SMALL]}], [USED], {}, "deny", "limit billed/USD/86400s, and this call",
    ),
    "a limit above alone": ([{"limits": [WIDE]}, {"limits": [MONEY | {"amount": "1.2"}]}], [USED], {}, "deny", "0.9"),
    "several limits": (
        [{"limits": [SMALL, CALLS | {"amount": 1}, {"meter": "tokens", "amount": 500_000}]}], [USED], {}, "deny",
        "tally grant extend search --limit billed:1.3USD/1d --limit calls:2/day --limit tokens:1300000/total",
    ),
    "downgrade to a model without a price": (
        [{"limits": [SMALL | {"at_limit": "downgrade", "downgrade_to": "x"}]}], [], {}, "deny", "has 0.5",
    ),
    "models": ([{"allow": {"models": ["m2"]}}], [], {}, "deny", "--models m2,m1"),
    "regions of both": (
        [{"allow": {"regions": ["us"]}}, {"allow": {"regions": ["us", "uk"]}}], [], {"region": "eu"}, "deny",
        "tally grant extend product --regions uk,us,eu",
    ),
    "paused": ([{"paused": True}], [], {}, "deny", "tally grant extend search --resume"),
    "expired": ([{"expires_at": "2026-01-05T12:00:03Z"}], [], {}, "deny", "--expires 2026-02-04"),
    "unknown usage": (
        [{"limits": [WIDE | {"unknown_usage": "deny"}]}], [call("odd", 10, team="search", model="x")], {}, "deny",
        "--limit billed:100USD/1d --unknown-usage tokens_only",
    ),
    "unknown usage in a limit without room": (
        [{"limits": [SMALL | {"unknown_usage": "deny"}]}],
        [USED, call("odd", 10, team="search", model="x")], {}, "deny",
        "--limit billed:1.3USD/1d --unknown-usage tokens_only",
    ),
    "unknown usage in a fiscal year": (
        [{"limits": [WIDE | {"unknown_usage": "deny", "window": {"calendar": "year", "first_month": 4}}]}],
        [call("odd", 10, team="search", model="x")], {}, "deny",
        "--limit billed:100USD/year --first-month 4 --unknown-usage tokens_only",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_names_commands_that_allow_the_call(name: str, home: Home) -> None:
    grants, lines, fields, answer, words = REFUSALS[name]
    for number, (grant, body) in reversed(list(enumerate(zip(("search", "product"), grants, strict=False)))):
        parent = {"parent": "product"} if number == 0 and len(grants) > 1 else {}
        above = {} if number == 0 else {"dimension": "organization", "scope": "acme"}
        home.grant(grant, **{field: value for field, value in body.items() if field != "paused"}, **parent, **above)
        if "paused" in body:
            home.grant(grant, "grant.narrowed", paused=True)
    home.append(*lines, ask("before", **fields))
    refused = home.explain("before")
    assert refused.decision["answer"] == answer and words in describe(refused), describe(refused)
    assert refused.way_out.commands and not refused.way_out.notes
    for command in refused.way_out.commands:
        home.extend(command)
    home.append(ask("after", **fields))
    assert home.explain("after").decision["answer"] == "allow", describe(home.explain("after"))


def test_a_downgrade_says_what_would_allow_the_model_itself(home: Home) -> None:
    cheaper = {"at_limit": "downgrade", "downgrade_to": "x", "unknown_usage": "tokens_only"}
    home.grant("search", limits=[SMALL | cheaper])
    home.append(USED, ask("one"))
    explanation = home.explain("one")
    text = describe(explanation)
    assert explanation.decision["answer"] == "downgrade" and "allowed on x" in text
    assert "raise it    tally grant extend search --limit billed:1.3USD/1d" in text


@pytest.mark.parametrize(
    ("changes", "fields", "words"),
    [
        ([("grant.revoked", {})], {}, ("'search' is revoked", "revoked for ever: create another grant")),
        ([("grant.narrowed", {"paused": True, "until": "2026-01-07T00:00:00Z"})], {},
         ("is paused", "narrowed until 2026-01-07, which nothing ends before")),
        ([("grant.narrowed", {"limits": [SMALL], "until": "2026-01-07T00:00:00Z"})], {}, ("has 0.5", "until 2026")),
        ([("grant.narrowed", {"limits": [SMALL]})], {"model": "x"}, ("needs the greatest cost",)),
        ([("grant.narrowed", {"limits": [SMALL | {"currency": "EUR"}]})], {},
         ("limits in EUR alone", "tally grant narrow search --limit billed:AMOUNTUSD/WINDOW")),
        ([("grant.narrowed", {"allow": {"regions": ["eu"]}})], {}, ("by its regions", "says no region", "send it")),
        ([], {"grant": "other"}, ("no scope of this ask holds grant 'other'", "does not help")),
    ],
)  # fmt: skip
def test_what_no_extension_helps_is_said(
    changes: list[tuple[str, dict[str, Any]]], fields: dict[str, Any], words: tuple[str, ...], home: Home
) -> None:
    home.grant("search")
    for control_type, body in changes:
        home.grant("search", control_type, **body)
    home.append(ask("one", **fields))
    explanation = home.explain("one")
    assert explanation.decision["answer"] == "deny" and explanation.way_out.commands == ()
    text = describe(explanation)
    assert [word for word in words if word not in text] == [], text


def test_an_admission_that_is_not_there_is_named(home: Home) -> None:
    home.grant("search")
    home.append(ask("one"), release("one"))
    for name in ("two", "release one"):
        with pytest.raises(TallyError, match=rf"no admission '{name}': give the id of the ask"):
            home.explain(name)


def test_an_ask_that_was_not_judged_is_named(home: Home) -> None:
    ahead = json.loads(ask("ahead")) | {"time": "2026-01-06T12:00:00Z"}
    home.append(json.dumps(ahead).encode())
    with pytest.raises(TallyError, match=r"'ahead' was asked for at 1-1-0, and has no answer: `tally tail`"):
        home.explain("ahead")


def test_the_command_explains_for_people_and_for_programs(home: Home, tmp_path: Path) -> None:
    home.grant("search", limits=[SMALL])
    home.append(USED, ask("one"))
    environment = {"TALLY_HOME": str(tmp_path / "home"), "TALLY_ORGANIZATION": "acme", "COLUMNS": "200"}
    explained = invoke("grant", "why", "one", **environment)
    assert explained.returncode == 0 and "Admission one: denied" in explained.stdout
    assert "search billed:0.5USD/1d 1 0.3 0 0 0.2 no" in " ".join(explained.stdout.split())
    facts = json.loads(invoke("grant", "why", "one", "--json", **environment).stdout)
    assert facts["commands"] == ["tally grant extend search --limit billed:1.3USD/1d"]
    assert (facts["answer"], facts["reason"], facts["retryable"]) == ("deny", "limit", False)
    (limit,) = facts["limits"]
    assert (limit["asked"], limit["used"], limit["room"]) == ("1.000000000000", "0.300000000000", False)
    unknown = invoke("grant", "why", "two", **environment)
    assert unknown.returncode == 2 and "no admission 'two'" in unknown.stderr
