"""``tally correct``: what it shows and refuses before anything is appended."""

import json
import shlex
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ingest.controls.contracts import sign_contract
from ingest.controls.prices import build_restatement
from ingest.intake.batch import Envelope
from ledger.log import Position, partition_of
from ledger.log.documents import store_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.pricing.contract_file import parse_contract
from ledger.settings import Settings
from tally.cli.app import app
from tally.product.correction import append_correction, build_correction, find_history
from tallystick import Observation, ObservationEvent
from tests.streams.build import DOCUMENTS, START, START_MS, adopt, call, control, correction

COSTS = ("list", "effective", "billed")
POSITION_FORMS = "1-0-2", "1:0:2", "0-2", "0:2"
"""How the position of the conflict may be written, in partition 1."""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedLog:
    monkeypatch.setenv("TALLY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TALLY_ORGANIZATION", "acme")
    log = EmbeddedLog(tmp_path / "home")
    for digest, packed in DOCUMENTS.items():
        store_document(log, digest, packed)
    lines = [
        adopt(), call("a", team="search"), call("a", tokens={"input": 5_000_000}),
        call("q", tokens={"input": 7}, reported_tokens={"input": 9}), call("h", at_s=10**9),
        call("twin", source="shop/web"), call("twin", source="shop/app"),
        correction("fix", "twin", source="shop/web"),
    ]  # fmt: skip
    log.append(EVENTS, [Envelope("acme", "test", "test").make_draft(b"\n".join(lines))])
    return log


def correct(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["correct", *arguments, "--reason", "a test", "--dry-run", "--json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return str(result.exception)
    return result.output


@pytest.mark.parametrize(
    ("arguments", "before", "after", "cost"),
    [
        (["a", "--reverse"], {"input": 1_000_000}, {}, {}),
        (["test/a", "--set", "tokens.input=3000000"], {"input": 1_000_000}, {"input": 3_000_000}, "3"),
        (["a", "--set", "tokens=", "--set", "team=ops"], {"input": 1_000_000}, {}, {}),
        *((["a", "--accept", form], {"input": 1_000_000}, {"input": 5_000_000}, "5") for form in POSITION_FORMS),
        (["q", "--release"], {}, {"input": 7}, "0.000007"),
        (["h", "--release"], {}, {"input": 1_000_000}, "1"),
        (["shop/app/twin", "--reverse"], {"input": 1_000_000}, {}, {}),
        (["shop/web/twin", "--set", "tokens.input=1000000"], {}, {"input": 1_000_000}, "1"),
    ],
)
def test_before_and_after(log: EmbeddedLog, arguments: list[str], before: object, after: object, cost: object) -> None:
    end = log.ends(EVENTS)
    facts = json.loads(correct(*arguments))
    assert facts["before"]["quantities"] == before and facts["after"]["quantities"] == after
    costs = {currency: amount.rstrip("0").rstrip(".") for currency, amount in facts["after"]["billed_costs"].items()}
    assert costs == ({"USD": cost} if isinstance(cost, str) else cost)
    assert log.ends(EVENTS) == end, "a dry run appends nothing"


@pytest.mark.parametrize(
    ("arguments", "is_reversed"),
    [
        (["a", "--reverse"], False),
        (["a", "--set", "tokens.input=3000000", "--set", "team="], False),
        (["a", "--set", "tokens=", "--set", "tags.note=it's = here"], False),
        (["a", "--set", "user=ann@example.com", "--set", "model=other name"], False),
        (["a", "--accept", "0:2"], False),
        (["q", "--release"], True),
        (["shop/web/twin", "--set", "tokens.input=1000000"], True),
        (["shop/app/twin", "--reverse"], False),
    ],
)
def test_the_command_of_a_correction_takes_it_back(
    log: EmbeddedLog, tmp_path: Path, arguments: list[str], is_reversed: bool
) -> None:
    """Whatever was corrected counts afterwards as before; what did not count is taken out of the ledger again."""
    facts = json.loads(correct(*arguments))
    program, command, *undo = shlex.split(facts["undo"])
    assert (program, command) == ("tally", "correct") and ("--reverse" in undo) == is_reversed
    append_for_good(log, tmp_path, *arguments)
    undone = json.loads(correct(*undo[:-2]))
    for name in ("quantities", "list_costs", "effective_costs", "billed_costs"):
        assert undone["before"][name] == facts["after"][name] and undone["after"][name] == facts["before"][name]
    former = {name: change["before"] for name, change in facts["changes"].items()}
    assert (
        is_reversed or {name: change["after"] for name, change in undone["changes"].items()}.items() >= former.items()
    )


HELD_NOTE = "It counts at once then: an event is not held again."


@pytest.mark.parametrize(
    ("corrections", "options", "note"),
    [
        ([["h", "--reverse"]], ["--set"], HELD_NOTE),
        ([["h", "--set", "tokens.input=3000000"]], ["--set", "tokens.input=1000000"], HELD_NOTE),
        ([["h", "--release"]], None, "the event would have counted when due"),
        ([["h", "--reverse"], ["h", "--set", "tokens.input=3000000"]], ["--reverse"], None),
        ([["q", "--reverse"]], None, "an event does not return to quarantine"),
        ([["q", "--release"]], ["--reverse"], "It counts nothing then"),
        ([["q", "--release"], ["q", "--reverse"]], None, "No command writes the former fields"),
    ],
)
def test_no_way_back_loses_an_event_that_was_held_and_none_is_shown_that_is_refused(
    log: EmbeddedLog, tmp_path: Path, corrections: list[list[str]], options: list[str] | None, note: str | None
) -> None:
    for arguments in corrections[:-1]:
        append_for_good(log, tmp_path, *arguments)
    facts = json.loads(correct(*corrections[-1]))
    assert (facts["undo_note"] is None) == (note is None) and (note or "") in (facts["undo_note"] or "")
    assert (facts["undo"] is None) == (options is None)
    append_for_good(log, tmp_path, *corrections[-1])
    if options is not None:
        command = shlex.split(facts["undo"])
        assert command[3 : 3 + len(options)] == options
        after = json.loads(correct(*command[2:-2]))["after"]["quantities"]
        assert after == ({"input": 1_000_000} if "--set" in options and "h" in corrections[0] else after)


def append_for_good(log: EmbeddedLog, home: Path, name: str, *options: str) -> None:
    """Append what ``tally correct`` would, without waiting for folds."""
    settings = Settings(home=home / "home")
    history = find_history(log, "acme", name)
    actions = {"--reverse": "reversal", "--set": "replacement", "--release": "release", "--accept": "acceptance"}
    fields = dict(option.split("=", 1) for option in options if "=" in option)
    position = Position(0, 0, 2) if "--accept" in options else None
    texts = {field: value or None for field, value in fields.items()}
    append_correction(log, history, build_correction(settings, history, actions[options[0]], "a test", texts, position))


def test_list_effective_and_billed_cost_are_shown(log: EmbeddedLog, tmp_path: Path) -> None:
    sign_contract(log, Settings(home=tmp_path / "home"), "acme", parse_contract(CONTRACT, "the test"))
    append(log, call("b", at_s=1))
    facts = json.loads(correct("b", "--set", "tokens.input=2000000"))
    costs = [[facts[when][f"{name}_costs"].get("USD", "0") for when in ("before", "after")] for name in COSTS]
    assert [[float(cost) for cost in pair] for pair in costs] == [[1, 2], [0.25, 0.625], [0, 0.25]]
    text = CliRunner().invoke(app, ["correct", "b", "--reverse", "--reason", "x", "--dry-run"]).output
    assert "before: input 1,000,000; list 1, effective 0.25, billed 0 USD" in text
    assert (
        "after:  nothing in the ledger (reversed)\n" in text and "To take it back: tally correct test/b --set" in text
    )


def test_a_closed_month_is_named_with_the_month_of_the_difference(log: EmbeddedLog) -> None:
    facts = json.loads(correct("a", "--reverse"))
    assert (facts["closed_month"], facts["billing_month"]) == (None, None)
    month = f"{START:%Y-%m}"
    closing = control("close", "period.closed", month=month)
    log.append(EVENTS, [Envelope("acme", "control", "local").make_draft(closing)])
    following = f"{START + timedelta(days=32):%Y-%m}"
    for arguments in (("--reverse",), ("--set", "tokens.input=1"), ("--accept", "0:2")):
        facts = json.loads(correct("a", *arguments))
        assert (facts["closed_month"], facts["billing_month"]) == (month, following)
    text = CliRunner().invoke(app, ["correct", "a", "--reverse", "--reason", "x", "--dry-run"]).output
    assert f"{month}, the month of the event, is closed" in text and f"billed in {following}" in text


NEIGHBOR = next(name for name in map("neighbor{}".format, range(1000)) if partition_of(name) == partition_of("acme"))
"""An organization in the same partition."""
CONTRACT = """
name: spend
currency: USD
terms: [{discount: 50}]
commitments: [{name: units, period: contract, units: 1500000, rates: {input: 0.25}}]
"""


@pytest.mark.parametrize(
    ("contract", "before", "after"),
    [
        # 1 M is covered and 0.5 M of the next call; the correction gives 1 M back, and 1 M of 3 M is covered again
        (CONTRACT, {}, {"USD": "1.000000000000"}),
        (CONTRACT[: CONTRACT.index("commitments")], {"USD": "0.500000000000"}, {"USD": "1.500000000000"}),
    ],
)
def test_before_and_after_a_restatement_under_a_contract(
    log: EmbeddedLog, tmp_path: Path, contract: str, before: object, after: object
) -> None:
    settings = Settings(home=tmp_path / "home")
    sign_contract(log, settings, "acme", parse_contract(contract, "the test"))
    partition = partition_of("acme")
    body = {"first_offset": 0, "end_offset": log.end(EVENTS, partition)}
    log.append(EVENTS, [build_restatement(settings, partition, body, None)])
    facts = json.loads(correct("a", "--set", "tokens.input=3000000"))
    assert facts["before"]["billed_costs"] == before and facts["after"]["billed_costs"] == after
    assert facts["after"]["quantities"] == {"input": 3_000_000}


@pytest.mark.parametrize("signer", ["acme", NEIGHBOR])
@pytest.mark.parametrize("organization", ["acme", NEIGHBOR])
@pytest.mark.parametrize("contract", [CONTRACT, CONTRACT[: CONTRACT.index("commitments")]])
def test_a_contract_holds_for_its_organization_alone(
    log: EmbeddedLog, tmp_path: Path, contract: str, signer: str, organization: str
) -> None:
    sign_contract(log, Settings(home=tmp_path / "home"), signer, parse_contract(contract, "the test"))
    append(log, call("b", at_s=1), organization=organization)
    facts = json.loads(correct("b", "--set", "tokens.input=3000000", "--organization", organization))
    costs = (1, 3) if signer != organization else (0, 0.75) if contract == CONTRACT else (0.5, 1.5)
    assert [float(facts[name]["billed_costs"].get("USD", 0)) for name in ("before", "after")] == list(costs)


def test_the_first_line_says_what_an_event_is(log: EmbeddedLog) -> None:
    target = {"source": "test", "id": "h"}
    data = Observation.model_validate({"of": target, "metric": "quality", "value": "1"})
    append(log, ObservationEvent(id="a", source="test", time=START, data=data).canonical())
    assert json.loads(correct("a", "--reverse"))["before"]["quantities"] == {"input": 1_000_000}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nobody", "--reverse"], "no event of organization acme has the name 'nobody'"),
        (["twin", "--reverse"], "2 events have the name 'twin': give the source too"),
        (["book", "--reverse"], "people/book is of kind control"),
        (["fix", "--reverse"], "people/fix is a correction: name the event that it corrects"),
        (["shop/web/twin", "--release"], "would change nothing: the event is reversed"),
        (["a"], "give one of --reverse"),
        (["a", "--reverse", "--release"], "give one of --reverse"),
        (["a", "--release"], "would change nothing: the event is counted already"),
        (["a", "--accept", "0:1"], "would change nothing: that line is the version in force"),
        (["a", "--accept", "7:0"], "would change nothing: no event with this identity stands at offset 7"),
        (["a", "--accept", "7:0"], "its conflicts stand at 1-0-2"),
        (["q", "--accept", "7:0"], "it has no conflict"),
        (["a", "--accept", "7"], "write the position of the conflicting event, for example 1-1801-0"),
        (["a", "--accept", "2-0-2"], "is in partition 2, and all events of acme are in partition 1"),
        (["a", "--set", "team"], "write FIELD=VALUE"),
        (["a", "--set", "colour=red"], "has no field colour"),
        (["a", "--set", "time=2026-11-01T00:00:00Z"], "the time of an event cannot be corrected, only its data"),
        (["a", "--set", "tokens.input=many"], "tokens.input"),
        (["a", "--set", "usage_source=missing"], "contradict itself: usage_source is 'missing' beside usage: say"),
        (["a", "--set", "tokens.input=1000000"], "would change nothing: the event has these values already"),
        (["a", "--set", "reported_tokens.input=9"], "would be quarantined: input: classes sum to 1000000, provider"),
        (["q", "--set", "team=search"], "input: classes sum to 7, provider reports 9. Set the tokens or the totals so"),
    ],
)
def test_a_refusal_says_why(log: EmbeddedLog, arguments: list[str], problem: str) -> None:
    assert problem in correct(*arguments)


@pytest.mark.parametrize("fields", [["reported_tokens="], ["reported_tokens.input=7"], ["tokens.input=9"]])
def test_totals_that_agree_are_corrected(log: EmbeddedLog, fields: list[str]) -> None:
    options = [option for field in fields for option in ("--set", field)]
    tokens = 9 if "tokens.input=9" in fields else 7
    assert json.loads(correct("q", *options))["after"]["quantities"] == {"input": tokens}


@pytest.mark.parametrize(
    ("arguments", "before", "after"),
    [
        (["h", "--reverse"], "held until 2057-09-13 13:41:40 UTC", "reversed"),
        (["h", "--release"], "held until 2057-09-13 13:41:40 UTC", None),
        (["q", "--release"], "quarantined: input: classes sum to 7, provider reports 9", None),
        (["q", "--reverse"], "quarantined: input: classes sum to 7, provider reports 9", "reversed"),
        (["shop/web/twin", "--set", "team=ops"], "reversed", None),
        (["a", "--reverse"], None, "reversed"),
        (["a", "--accept", "0:2"], None, None),
    ],
)
def test_an_event_without_an_entry_says_why(
    log: EmbeddedLog, arguments: list[str], before: str | None, after: str | None
) -> None:
    facts = json.loads(correct(*arguments))
    assert (facts["before"]["absence"], facts["after"]["absence"]) == (before, after)


@pytest.mark.parametrize(
    ("arguments", "before", "after"),
    [
        (
            ["a", "--set", "service_tier=scale"],
            "input 1,000,000; list 1, effective 1, billed 1 USD",
            "input 1,000,000; unpriced, at most 1 USD at list price: no rate for service tier 'scale'",
        ),
        (
            ["a", "--set", "model=nobody"],
            None,
            "input 1,000,000; unpriced, without an upper bound: no price of the model",
        ),
        (["a", "--set", "tokens="], None, "unknown, at most "),
        (["a", "--set", "tokens=", "--set", "status=refused"], None, "free"),
        (["a", "--set", "cached_from=b"], None, "free, saved 1 USD"),
        (
            ["a", "--set", "tokens.output_audio=5"],
            None,
            "input 1,000,000, output_audio 5; list 1, effective 1, billed 1 ",
        ),
        (
            ["q", "--reverse"],
            "nothing in the ledger (quarantined: input: classes sum to 7, provider reports 9); unknown, at most ",
            "nothing in the ledger (reversed)\n",
        ),
        (["h", "--release"], "nothing in the ledger (held until 2057-09-13 13:41:40 UTC)\n", "input 1,000,000; list 1"),
    ],
)
def test_a_cost_that_is_not_known_is_told_from_one_of_zero(
    log: EmbeddedLog, arguments: list[str], before: str | None, after: str
) -> None:
    text = CliRunner().invoke(app, ["correct", *arguments, "--reason", "x", "--dry-run"]).output
    assert f"before: {before or 'input'}" in text and f"after:  {after}" in text


def test_what_an_entry_says_of_its_price_is_in_json(log: EmbeddedLog) -> None:
    facts = json.loads(correct("a", "--set", "service_tier=scale"))
    assert facts["before"]["entry"] == {"pricing": "priced", "currency": "USD"}
    assert facts["after"]["entry"]["unpriced_reason"] == "no rate for service tier 'scale'"
    assert json.loads(correct("a", "--reverse"))["after"]["entry"] == {}


def test_an_event_that_does_not_fit_the_vocabulary_is_replaced(log: EmbeddedLog) -> None:
    append(log, call("bad").replace(b'"model":"m1"', b'"model":7').replace(b'{"input":1000000}', b'"many"'))
    assert "a field tokens that does not fit" in correct("bad", "--set", "model=m1")
    assert "would change nothing: the event does not fit" in correct("bad", "--release")
    facts = json.loads(correct("bad", "--set", "model=m1", "--set", "tokens.input=4"))
    assert facts["after"]["quantities"] == {"input": 4}
    assert facts["changes"] == {
        "model": {"before": 7, "after": "m1"},
        "tokens": {"before": "many", "after": None},
        "tokens.input": {"before": None, "after": 4},
    }


def test_a_quarantined_correction_is_not_appended(log: EmbeddedLog) -> None:
    end = log.ends(EVENTS)
    arguments = ["correct", "a", "--set", "reported_tokens.input=9", "--reason", "a test"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2 and "--set reported_tokens=" in result.output
    assert log.ends(EVENTS) == end


PAST = {"tokens": {"input": 5}, "model": "m1"}
AHEAD_S = 312


@pytest.mark.parametrize(
    ("lines", "before", "after"),
    [
        # a replacement that was held
        ([call("a")], {"input": 5}, {"input": 5}),
        # a replacement that was held, of a call that was held
        ([call("a", at_s=AHEAD_S)], {"input": 5}, {"input": 5}),
        # a call that was held, and replaced before it fell due
        ([call("a", at_s=AHEAD_S), correction("fix", "a", replacement=PAST)], {"input": 5}, {"input": 5}),
        # a call that was held, and nothing else
        ([call("a", at_s=AHEAD_S, tokens={"input": 3})], {"input": 3}, {"input": 3}),
        # a revision that was held
        ([call("a"), call("a", at_s=AHEAD_S, revision=1, tokens={"input": 4})], {"input": 4}, {"input": 4}),
    ],
)
@pytest.mark.parametrize("is_told", [True, False], ids=["a record reveals it", "the correction reveals it"])
@pytest.mark.parametrize("contract", ["", CONTRACT], ids=["", "commitments"])
def test_what_was_held_counts_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[bytes], before: object, after: object, is_told: bool,
    contract: str, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    monkeypatch.setenv("TALLY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TALLY_ORGANIZATION", "acme")
    now_s = [START_MS / 1000]
    log = EmbeddedLog(tmp_path / "home", clock=lambda: now_s[0])
    for digest, packed in DOCUMENTS.items():
        store_document(log, digest, packed)
    if contract:
        sign_contract(log, Settings(home=tmp_path / "home"), "acme", parse_contract(contract, "the test"))
    is_replaced = after == {"input": 5} and len(lines) == 1
    fixes = [correction("fix", "a", at_s=AHEAD_S, replacement=PAST)] if is_replaced else []
    append(log, adopt(), *lines, *fixes)
    if is_told:
        now_s[0] += 3600
        append(log, call("other"))
    facts = json.loads(correct("a", "--set", "team=blue"))
    assert facts["before"]["quantities"] == before and facts["after"]["quantities"] == after


def append(log: EmbeddedLog, *lines: bytes, organization: str = "acme") -> None:
    log.append(EVENTS, [Envelope(organization, "test", "test").make_draft(b"\n".join(lines))])
