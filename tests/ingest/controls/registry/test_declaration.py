"""The file that declares the registry: what it means, and what is wrong with it, by file, line and path."""

import pytest

from ingest.controls.registry.declaration import Item, read_declaration
from ingest.controls.registry.plan import plan_changes
from ingest.controls.registry.records import _make_seal
from ingest.intake.intake import Intake
from ledger.errors import TallyError
from tests.ingest.controls.registry.build import MOMENT

KEY = "sk-proj-abcdefghijABCDEFGHIJ0123456789"


def read(text: str) -> list[Item]:
    return read_declaration(text, "r.yaml", "acme", _make_seal(Intake("key", ("control",))))


def describe(text: str) -> list[tuple[str, ...]]:
    return [(item.subject.family, *item.subject.names) for item in read(text)]


def test_a_file_declares_every_kind() -> None:
    text = f"""
organization: {{owner: eve}}
teams: {{search: {{parent: product}}, product: }}
projects: {{core: {{cost_center: CC-1}}}}
features: {{chat: {{team: search}}, replies: {{team: search, owner: ann}}}}
services: {{gateway: {{}}}}
keys: {{{KEY}: search}}
accounts: {{org-1: {{team: search}}}}
agents: {{triage: search}}
agreements: {{MSA-7: {{provider: anthropic, regions: eu, data_classes: [internal, public]}}}}
exchange_rates: {{EUR/USD: 1.080}}
"""
    assert describe(text) == [
        ("scope", "organization", "acme"),
        ("scope", "team", "search"),
        ("scope", "team", "product"),
        ("scope", "project", "core"),
        ("scope", "feature", "chat"),
        ("assignment", "feature", "chat"),
        ("scope", "feature", "replies"),
        ("assignment", "feature", "replies"),
        ("scope", "service", "gateway"),
        ("assignment", "key", "fp_62bdd593592a3b9c91250d6b"),
        ("assignment", "provider_account", "org-1"),
        ("assignment", "agent", "triage"),
        ("agreement", "MSA-7"),
        ("exchange rate", "EUR", "USD"),
    ]
    states = {item.subject.names[-1]: item.steps[0][1] for item in read(text)}
    assert states["MSA-7"] == {"provider": "anthropic", "regions": ["eu"], "data_classes": ["internal", "public"]}
    assert states["USD"] == {"rate": "1.08"}
    assert states["acme"] == {"owner": Intake("key")._pseudonymize("eve")}


def test_numbers_stay_as_they_are_written() -> None:
    (team, rate) = read("teams: {007: {head_count: 12}}\nexchange_rates: {JPY/USD: 0.000000000001}")
    assert team.subject.names == ("team", "007") and team.steps[0][1] == {"head_count": 12}
    assert rate.steps[0][1] == {"rate": "0.000000000001"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "r.yaml: declares nothing: write at least one section"),
        ("teams: [", "r.yaml:1: is not YAML: "),
        ("- teams", "r.yaml:1: is a list, and must be a mapping of names"),
        ("team: {}", "r.yaml:1: team: is no section: did you mean teams?"),
        ("\nteams:\n  a: {}\n  b: {}\n  a: {}", "r.yaml:5: teams.a: stands on line 3 too: declare it once"),
        ("teams: {[a]: {}}", "r.yaml:1: teams.?: is no name"),
        ("teams:\n  a: {lead: x}", "r.yaml:2: teams.a.lead: is no field of teams: choose one of parent, owner"),
        ("teams:\n  a: {ownr: x}", "r.yaml:2: teams.a.ownr: is no field of teams: did you mean owner?"),
        ("teams:\n  a: b", "r.yaml:2: teams.a: is 'b', and must be a mapping of parent, owner"),
        ("teams:\n  a: {owner: [x]}", "r.yaml:2: teams.a.owner: is a list, and must be one value"),
        ("teams:\n  a: {head_count: few}", "r.yaml:2: teams.a.head_count: is 'few': Input should be a valid integer"),
        ("teams:\n  a: {head_count: -1}", "r.yaml:2: teams.a.head_count: is '-1': "),
        ("teams:\n  a: {parent: b}", "r.yaml:2: teams.a: its parent is 'b', and no team of that name is declared"),
        ("teams: {search: }\nkeys:\n  k: serch", "no team of that name is declared: did you mean search?"),
        ("teams:\n  a: {from: soon}", "r.yaml:2: teams.a.from: is 'soon': write a day or a time, for example"),
        ("teams:\n  a: {from: 1999-01-01}", "r.yaml:2: teams.a.from: is '1999-01-01': write a day from 2000 to 2199"),
        ("teams:\n  a: {from: 2026-10-01, until: 2026-10-01}", "`until` comes after `from`"),
        ("teams:\n  a: [{}, {owner: x}]", "r.yaml:2: teams.a.2: has no `from`"),
        ("teams:\n  a: [{from: 2026-10-01}, {from: 2026-09-01}]", "r.yaml:2: teams.a.2: begins at 2026-09-01"),
        ("teams:\n  a: []", "r.yaml:2: teams.a: is an empty list"),
        ("keys:\n  k: {}", "r.yaml:2: keys.k: has no team: write the team that owns it"),
        ("keys:\n  k:", "r.yaml:2: keys.k: has no team"),
        ("agreements:\n  x: {}", "r.yaml:2: agreements.x: provider: is missing"),
        ("exchange_rates:\n  EURUSD: 1", "r.yaml:2: exchange_rates.EURUSD: is no pair of currencies"),
        ("exchange_rates:\n  EUR/EUR: 1", "is no pair of currencies: write two different codes"),
        ("exchange_rates:\n  EUR/USD: dear", "r.yaml:2: exchange_rates.EUR/USD: is 'dear': "),
        ("exchange_rates:\n  EUR/USD: 0", "r.yaml:2: exchange_rates.EUR/USD: is '0': must be above zero"),
        ("exchange_rates:\n  EUR/USD: {}", "has no rate: write a rate, such as 1.08"),
        ("teams: {t: }\nkeys:\n  " + KEY + ": t\n  fp_62bdd593592a3b9c91250d6b: t",
         "r.yaml:4: keys.fp_62bdd593592a3b9c91250d6b: is the same as keys.fp_62bdd593592a3b9c91250d6b on line 3"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(text: str, sentence: str) -> None:
    with pytest.raises(TallyError) as error:
        read(text)
    assert sentence in str(error.value) and KEY not in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("teams: {a: {parent: a}}", "teams.a: would be part of itself from 2026-11-01T00:00:00+00:00 on (a -> a)"),
        ("teams:\n  a: {parent: b}\n  b: {parent: c}\n  c: {parent: a}", "(a -> b -> c -> a)"),
        (
            "teams:\n  a: [{}, {parent: b, from: 2027-01-01}]\n  b: [{parent: a}, {from: 2027-02-01}]",
            "r.yaml:2: teams.a: would be part of itself from 2027-01-01T00:00:00+00:00 on (a -> b -> a)",
        ),
        (
            "teams:\n  t0:\n" + "".join(f"  t{number}: {{parent: t{number - 1}}}\n" for number in range(1, 65)),
            "r.yaml:66: teams.t64: is on level 65 of its tree, and 64 is the last",
        ),
    ],
)
def test_a_circle_is_refused_at_its_time(text: str, sentence: str) -> None:
    with pytest.raises(TallyError) as error:
        plan_changes({}, read(text), MOMENT)
    assert sentence in str(error.value)


def test_parents_that_change_places_at_one_time_are_no_circle() -> None:
    text = "teams:\n  a: [{}, {parent: b, from: 2027-01-01}]\n  b: [{parent: a}, {from: 2027-01-01}]"
    assert len(plan_changes({}, read(text), MOMENT)) == 4
