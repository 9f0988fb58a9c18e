"""Replays under proposed rules of runaways find what these rules would have found, and write nothing."""

import itertools
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ingest.controls.runaway_rules import adopt_rules, find_rules
from ingest.intake.batch import Envelope
from ledger.log import partition_of
from ledger.log.documents import store_document
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.money import PICO
from ledger.runaway_rules import RunawayRules, parse_rules
from ledger.settings import Settings
from tally.product.runaways.replay import Comparison, replay_rules
from tests.streams.build import DOCUMENTS, START, adopt, call
from tests.tally.conftest import invoke

DAY = timedelta(days=1)
TOOL = {"tool": "grep", "tool_arguments_hash": "a", "tool_result_hash": "r", "agent": "x"}
LOOP = 10
"""Calls of a dollar, a second apart: after four the next hour would cost 240 dollars."""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EmbeddedLog]:
    """A log with a loop on each of three days."""
    seconds = itertools.count(int((START + 3 * DAY).timestamp()))
    with closing(EmbeddedLog(tmp_path / "home", lambda: next(seconds))) as log:
        for digest, packed in DOCUMENTS.items():
            store_document(log, digest, packed)
        append(log, adopt())
        for day in range(3):
            append(log, *(call(f"{day}-{n}", day * 86_400 + n, session=f"day{day}", **TOOL) for n in range(LOOP)))
        yield log


def append(log: EmbeddedLog, *lines: bytes) -> None:
    log.append(EVENTS, [Envelope("acme", "test", "test").make_draft(b"\n".join(lines))])


def get_settings(log: EmbeddedLog) -> Settings:
    return Settings(home=log.folder.parent, organization="acme")


def replay(log: EmbeddedLog, text: str, start: datetime = START, end: datetime = START + DAY) -> Comparison:
    return replay_rules(log, get_settings(log), parse_rules(text, "r.yaml"), start, end)


@pytest.mark.parametrize(
    "text, runaways, pages, saved",
    [
        ("{page_above: 50}", 1, 1, LOOP - 4),
        ("{detectors: {repeated_tool: 7}}", 1, 1, LOOP - 7),
        ("{page_above: 1000000}", 1, 0, 0),
        ("{detectors: {repeated_tool: off}}", 0, 0, 0),
    ],
)
def test_a_stop_at_the_page_saves_the_calls_after_it(
    log: EmbeddedLog, text: str, runaways: int, pages: int, saved: int
) -> None:
    compared = replay(log, text)
    assert (len(compared.proposed.runaways), len(compared.proposed.pages)) == (runaways, pages)
    assert compared.proposed.saved["USD"] == saved * PICO
    assert compared.proposed.spent["USD"] == runaways * LOOP * PICO
    assert (len(compared.today.pages), compared.today.saved["USD"]) == (1, (LOOP - 4) * PICO)


def test_only_runaways_of_the_period_and_the_organization_count(log: EmbeddedLog) -> None:
    line = call("other", 0, session="other", **TOOL)
    log.append(EVENTS, [Envelope("other", "test", "test").make_draft(line)] * 9)
    found = replay(log, "{page_above: 50}", START + DAY, START + 3 * DAY).proposed
    assert [runaway.session for runaway in found.runaways] == ["day1", "day2"]


def test_rules_that_were_adopted_later_are_todays_and_replaced_by_the_proposed(log: EmbeddedLog) -> None:
    adopt_rules(log, get_settings(log), "acme", parse_rules("{detectors: {repeated_tool: off}}", "r"))
    end = log.end(EVENTS, partition_of("acme"))
    compared = replay(log, "{page_above: 50}", end=START + 3 * DAY)
    assert (compared.today.runaways, len(compared.proposed.runaways)) == ([], 3)
    assert log.end(EVENTS, partition_of("acme")) == end


def test_rules_in_force_are_those_adopted_last(log: EmbeddedLog) -> None:
    settings = get_settings(log)
    assert find_rules(log, "acme") is None
    first, second = (parse_rules(f"{{page_above: {limit}}}", "r") for limit in (1, 2))
    assert adopt_rules(log, settings, "acme", first).new and not adopt_rules(log, settings, "acme", first).new
    assert adopt_rules(log, settings, "acme", second).new and adopt_rules(log, settings, "acme", first).new
    adoption = find_rules(log, "acme")
    assert adoption is not None and adoption.rules == first


def test_the_commands_print_adopt_and_replay_rules(log: EmbeddedLog, tmp_path: Path) -> None:
    home = {"TALLY_HOME": str(log.folder.parent), "TALLY_ORGANIZATION": "acme", "COLUMNS": "200"}
    printed = invoke("runaways", "rules", **home).stdout
    assert "the default: none were adopted" in printed and "page_above: 50" in printed
    assert parse_rules(printed, "printed") == RunawayRules()
    (tmp_path / "new.yaml").write_text(printed.replace("repeated_tool: 4", "repeated_tool: 7"))
    period = ("--from", START.isoformat(), "--to", (START + DAY).isoformat())
    replayed = invoke("runaways", "replay", "--rules", str(tmp_path / "new.yaml"), *period, **home)
    assert replayed.returncode == 0, replayed.stderr
    rows = {row.split()[0]: row.split()[1:] for row in replayed.stdout.splitlines() if row.strip()}
    assert rows["today"] == ["1", "1", "10", "USD", "6", "USD"]
    assert rows["proposed"] == ["1", "1", "10", "USD", "3", "USD"]
    facts = json.loads(
        invoke("runaways", "replay", "--rules", str(tmp_path / "new.yaml"), *period, "--json", **home).stdout
    )
    assert facts["today"]["saved"] == {"USD": "6"} and facts["proposed"]["saved"] == {"USD": "3"}
    (runaway,) = facts["proposed"]["runaways"]
    assert (runaway["paged_at"], runaway["calls"]) == ((START + timedelta(seconds=6)).isoformat()[:19] + "Z", 10)
    adopted = invoke("runaways", "adopt", str(tmp_path / "new.yaml"), **home)
    assert adopted.returncode == 0 and "Rules adopted in acme" in adopted.stdout
    assert "already in force" in invoke("runaways", "adopt", str(tmp_path / "new.yaml"), **home).stdout
    assert "repeated_tool: 7" in invoke("runaways", "rules", **home).stdout
    wrong = invoke("runaways", "adopt", str(log.folder), **home)
    assert wrong.returncode == 2 and "name a YAML file" in wrong.stderr
