"""Plans of grants: the records reach what the file says from any state, an exported file changes nothing, and what no
record can reach is said with its place and the way out."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from ingest.controls.registry.declaration import GRANTS, read_sections
from ingest.controls.registry.export import write_yaml
from ingest.controls.registry.yaml_nodes import parse_yaml
from ingest.intake.intake import Intake
from ledger.errors import TallyError
from ledger.log import Position, Record
from streams.folds.emit import Emit
from streams.folds.event import Event
from streams.folds.grants.grant_fold import change_tree
from streams.folds.grants.tree import Grant, find_stopped, load_grant, load_path
from streams.folds.state import State
from tally.cli.grant_file import read_grants_section
from tally.product.grants.declaration import DeclaredGrant, seal_grants
from tally.product.grants.export import build_grants_section
from tally.product.grants.history import AppliedRecord
from tally.product.grants.plan import APPLY_SOURCE, PlannedRecord, plan_grants
from tally.product.grants.usage import Grants, GrantUsage

NOW_MS = 1_800_000_000_000
PLACE = parse_yaml("a: 1", "r.yaml")
TREE = {"top": None, "left": "top", "deep": "left", "right": "top"}
Body = dict[str, Any]


class Home:
    """The grants of one organization in memory, changed by the fold."""

    def __init__(self) -> None:
        self.state, self.history, self.count = State(), dict[str, list[AppliedRecord]](), 0

    def change(self, control_type: str, source: str = "test", **body: Any) -> str | None:
        """Apply a record, and return why it has no effect."""
        self.count += 1
        emit = Emit(Record(0, self.count, NOW_MS, "", {}, b""), NOW_MS)
        event = Event(0, "acme", "control", source, str(self.count), data={"control": control_type, "body": body})
        change_tree(event, self.state, lambda digest: None, emit)  # type: ignore[arg-type, return-value]
        answer = next(decision for decision in emit.decisions if decision["decision"].startswith("control."))
        if answer["decision"] == "control.ineffective":
            return str(answer["reason"])
        record = AppliedRecord(
            body["grant"], control_type, Position(0, self.count, 0), emit.now_us, body, source, None, "why"
        )
        self.history.setdefault(record.grant, []).append(record)
        return None

    def read(self) -> Grants:
        names = [name for name in self.history if load_grant(self.state, "acme", name) is not None]
        return Grants("acme", NOW_MS * 1000, [self._read(name) for name in names], self.history)

    def _read(self, name: str) -> GrantUsage:
        path = load_path(self.state, "acme", name)
        above = tuple(grant.name for grant in path[1:])
        return GrantUsage(path[0], above, [], find_stopped(path, NOW_MS * 1000))

    def apply(self, declared: list[DeclaredGrant]) -> list[tuple[PlannedRecord, str | None]]:
        plan = plan_grants(self.read(), declared)
        return [(record, self.change(record.control_type, APPLY_SOURCE, **record.body)) for record in plan.records]


def declare(name: str, **fields: Any) -> DeclaredGrant:
    body = {"grant": name, "dimension": "team", "scope": name} | fields
    return DeclaredGrant(PLACE, {}, {field: value for field, value in body.items() if value is not None}, None)


def read_file(text: str) -> list[DeclaredGrant]:
    declared = read_grants_section(read_sections(text, "r.yaml")[GRANTS])
    return seal_grants(declared, Intake("key", ("control",)), "acme")


MODELS = ("a", "b", "c", "d")
OPTIONAL = ("models", "calls", "tokens", "expires")
limits = some.fixed_dictionaries(
    {
        "amount": some.integers(1, 4),
        "answer": some.sampled_from(("warn", "downgrade", "throttle", "deny")),
        "thresholds": some.sampled_from((None, [70])),
        "floor": some.integers(0, 4),
        "lend": some.integers(0, 4),
    }
)
fields = some.fixed_dictionaries(
    {
        "models": some.sets(some.sampled_from(MODELS), min_size=1, max_size=3), "calls": limits, "tokens": limits,
        "expires": some.integers(30, 35), "delegable": some.booleans(),
    }
)  # fmt: skip
forests = some.fixed_dictionaries(dict.fromkeys(TREE, fields))
changes = some.lists(some.tuples(some.sampled_from(list(TREE)), fields), max_size=4)
presences = some.fixed_dictionaries(dict.fromkeys(TREE, some.sets(some.sampled_from(OPTIONAL))))


def keep(drawn: dict[str, Body], *presences: dict[str, set[str]]) -> dict[str, Body]:
    """Keep the optional fields that are present, since none is taken off."""
    return {
        name: {
            field: value if field not in OPTIONAL or any(field in present[name] for present in presences) else None
            for field, value in fields.items()
        }
        for name, fields in drawn.items()
    }


def build_limit(meter: str, limit: Body) -> Body:
    body = {"meter": meter, "amount": limit["amount"], "at_limit": limit["answer"]}
    body |= {} if meter == "tokens" else {"window": {"rolling_s": 3600}}
    body |= {name: limit[name] for name in ("floor", "lend") if limit[name]}
    body |= {"downgrade_to": "a"} if limit["answer"] == "downgrade" else {}
    return body | ({} if limit["thresholds"] is None else {"thresholds": limit["thresholds"]})


def build_forest(drawn: dict[str, Body]) -> list[DeclaredGrant]:
    """Build the grants of a file, each cut to what the ones above it leave."""
    declared, kept = [], dict[str, Body]()
    for name, parent in TREE.items():
        own, path, above = dict(drawn[name]), [], parent
        while above is not None:
            path.append(kept[above])
            above = TREE[above]
        for over in path:
            if own["models"] and over["models"]:
                own["models"] = (own["models"] & over["models"]) or over["models"]
            for meter in ("calls", "tokens"):
                if own[meter] and over[meter]:
                    own[meter] = own[meter] | {"amount": min(own[meter]["amount"], over[meter]["amount"])}
        for meter in ("calls", "tokens"):
            above_limit: Any = kept[parent][meter] if parent else None
            can_keep = own[meter] and above_limit and above_limit["answer"] != "warn"
            if own[meter]:
                floor = min(own[meter]["floor"], own[meter]["amount"], above_limit["amount"] // 2) if can_keep else 0
                own[meter] = own[meter] | {"floor": floor, "lend": min(floor, own[meter]["lend"])}
        for over in path:
            if own["expires"] and over["expires"]:
                own["expires"] = min(own["expires"], over["expires"])
        kept[name] = own
        declared.append(
            declare(
                name, parent=parent, allow={"models": sorted(own["models"])} if own["models"] else None,
                limits=[build_limit(meter, own[meter]) for meter in ("calls", "tokens") if own[meter]] or None,
                expires_at=f"20{own['expires']}-01-01T00:00:00Z" if own["expires"] else None,
                delegable=own["delegable"] or None,
            )
        )  # fmt: skip
    return declared


def show(grant: Grant | None) -> Any:
    """Show what a file says of a grant."""
    assert grant is not None
    limits = {
        limit.key: (limit.amount, limit.at_limit, limit.downgrade_to, limit.thresholds, limit.floor, limit.lend)
        for limit in grant.limits
    }
    return dict(grant.allow), limits, grant.expires_us, grant.is_delegable, grant.parent, grant.scope


def is_stuck(home: Home, declared: DeclaredGrant) -> bool:
    """Tell whether the names that a grant has lie outside those above it, and so none of them can stay or go."""
    present, parent = load_grant(home.state, "acme", declared.name), declared.parent
    assert present is not None
    wanted, names = dict(declared.read().allow).get("models", ()), dict(present.allow).get("models", ())
    return parent is not None and not set(names).intersection(wanted)


@settings(max_examples=60, deadline=None)
@given(forests, presences, changes, forests, presences)
def test_a_plan_reaches_the_file_from_any_state(
    former: dict[str, Body], present: dict[str, set[str]], changes: list[tuple[str, Body]], drawn: dict[str, Body],
    added: dict[str, set[str]],
) -> None:  # fmt: skip
    home, former = Home(), keep(former, present)
    assert {obstacle for _, obstacle in home.apply(build_forest(former))} == {None}
    for name, change in changes:  # by hand, as far as the fold lets it
        for declared in build_forest(keep(former | {name: change}, present)):
            body = {field: declared.body[field] for field in ("allow", "limits") if field in declared.body}
            if declared.name == name and body:
                for control_type in ("grant.narrowed", "grant.extended"):
                    home.change(control_type, grant=name, **body)
    file = build_forest(keep(drawn, present, added))
    stuck = any(is_stuck(home, declared) for declared in file)
    answers = home.apply(file)
    if stuck and any(obstacle is not None for _, obstacle in answers):
        return
    assert {obstacle for _, obstacle in answers} <= {None}, answers
    for declared in file:
        assert show(load_grant(home.state, "acme", declared.name)) == show(declared.read())
    assert plan_grants(home.read(), file).records == []
    exported = write_yaml({GRANTS: build_grants_section(home.read(), {})})
    assert plan_grants(home.read(), read_file(exported)) == ([], []), exported


def test_the_file_revokes_only_what_an_apply_has_created_or_changed() -> None:
    home = Home()
    home.apply([declare("a", delegable=True), declare("b", parent="a", delegable=True), declare("c")])
    home.change("grant.delegated", grant="run", parent="b", dimension="session", scope="run")
    home.change("grant.created", grant="hand", dimension="team", scope="hand")
    plan = plan_grants(home.read(), [declare("c")])
    (record,) = plan.records
    assert (record.action, record.grant, set(record.below)) == ("revoke", "a", {"b", "run"})
    assert plan.foreign == ["hand"]
    assert home.apply([declare("c")]) == [(record, None)]
    assert plan_grants(home.read(), [declare("c")]) == ([], ["hand"])
    limit = {"meter": "calls", "amount": 5}
    home.apply([declare("c"), declare("hand", limits=[limit])])
    assert [record.grant for record in plan_grants(home.read(), [declare("c")]).records] == ["hand"]


def make_home() -> Home:
    home = Home()
    limits = [{"meter": "calls", "amount": 5}]
    home.apply(
        [declare("a"), declare("b", parent="a", limits=limits, expires_at="2030-01-01T00:00:00Z"),
         declare("c", allow={"models": ["m"]}), declare("gone"), declare("below", parent="gone")]
    )  # fmt: skip
    home.change("grant.revoked", grant="gone")
    return home


A = "a: {scope: team=a}\n  "
B = "parent: a, scope: team=b, limits: [calls:5/total], expires: 2030-01-01"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gone: {scope: team=gone}", ("r.yaml:2: grants.gone", "was revoked at 2027", "another name", "gone-2")),
        ("below: {scope: team=below, parent: gone}", ("revoked with 'gone'", "below-2")),
        ("new: {scope: team=n, parent: gone}", ("grants.new.parent", "'gone' is revoked", "another parent")),
        (A + "b: {parent: a, scope: team=b, expires: 2030-01-01}", ("calls//total", "not taken off")),
        (A + "b: {parent: a, scope: team=b, limits: [calls:5/total]}", ("expires at 2030-01-01", "later date")),
        (f"b: {{{B.replace('parent: a, ', '')}}}", ("grants.b", "is below 'a' for its whole life", "b-2")),
        (f"{A}b: {{{B.replace('team=b', 'team=x')}}}", ("grants.b.scope", "team=b for its whole life")),
        ("c: {scope: team=c}", ("lists models (m)", "not taken off")),
        (f"b: {{{B}}}", ("'a' is not in the file", "revoked with all below")),
        ("n: {scope: team=n, parent: x}", ("grants.n.parent", "no grant 'x'", "declare it")),
        ("x: {scope: team=x, parent: y}\n  y: {scope: team=y, parent: x}", ("below itself", "x -> y -> x")),
    ],
)  # fmt: skip
def test_what_no_record_can_reach_is_said_with_its_place(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(TallyError) as raised:
        plan_grants(make_home().read(), read_file(f"grants:\n  {text}\n"))
    assert [word for word in words if word not in str(raised.value)] == [], raised.value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: {}", ("r.yaml:1: grants.a", "has no scope", "scope: team=search")),
        ("a: {scope: squad=b}", ("grants.a.scope", "'squad'", "team")),
        ("a: {scope: team}", ("grants.a.scope: scope is 'team'", "team=search")),
        ("a: {scope: organization=other}", ("organization=other", "organization=acme")),
        ("a: {scope: team=b, model: m}", ("grants.a.model", "no field", "did you mean models?")),
        ("a: {scope: team=b, limits: [calls:1]}", ("grants.a.limits.1: limit is 'calls:1'", "METER:AMOUNT/WINDOW")),
        ("a: {scope: team=b, limits: [{thresholds: 5}]}", ("grants.a.limits.1", "has no limit")),
        ("a: {scope: team=b, at_limit: warn}", ("grants.a.at_limit", "the grant has none")),
        ("a: {scope: team=b, limits: [calls:1/1h], at_limit: stop}", ("at_limit is 'stop'", "throttle")),
        ("a: {scope: team=b, limits: [calls:1/year], first_month: 13}", ("first_month is '13'",)),
        ("a: {scope: team=b, limits: [calls:1/1h, calls:2/1h]}", ("same meter",)),
        ("a: {scope: team=b, expires: soon}", ("grants.a.expires: expires is 'soon'", "2026-10-01")),
        ("a: {scope: team=b, delegable: 7}", ("'7'", "true or false")),
        ("a: {scope: team=b, models: []}", ("grants.a.models", "lists no name")),
        ("a: {scope: team=b, models: ['']}", ("grants.a.models", "lists no name")),
        ("a b: {scope: team=b}", ("a b", "grant:")),
    ],
)
def test_a_file_that_cannot_be_says_where(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(TallyError) as raised:
        read_file(f"grants: {{{text}}}")
    assert [word for word in words if word not in str(raised.value)] == [], raised.value


def test_a_file_says_what_the_command_can() -> None:
    text = """
grants:
  a:
    scope: user=ann@example.com
    models: [M1, m2]
    regions: eu
    limits:
      - billed:100USD/quarter@Europe/Berlin
      - {limit: calls:5k/1h, at_limit: downgrade=m2, thresholds: [10, 20], unknown_usage: deny}
    at_limit: throttle
    thresholds: 50,70
    first_month: 4
    expires: 2030-01-01
    delegable: true
    reason: launch
"""
    (declared,) = read_file(text)
    grant = declared.read()
    assert declared.reason == "launch" and grant.is_delegable and "ann" not in grant.scope
    assert grant.allow == (("models", ("m1", "m2")), ("regions", ("eu",)))
    quarter, calls = grant.limits
    assert (quarter.key, quarter.at_limit) == ("billed/USD/quarter@Europe/Berlin+4", "throttle")
    assert quarter.thresholds == (50, 70)
    assert (calls.amount, calls.downgrade_to, calls.thresholds) == (5000, "m2", (10, 20))
    assert calls.unknown_usage == "deny" and msgspec.json.encode(grant)
