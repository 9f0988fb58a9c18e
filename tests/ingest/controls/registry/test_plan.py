"""Plans: one apply makes the registry what the file says, whatever both were, and a second changes nothing."""

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as some

from ingest.controls.registry.declaration import Item, read_declaration
from ingest.controls.registry.export import build_sections, write_yaml
from ingest.controls.registry.families import AGREEMENT, ASSIGNMENT, EXCHANGE_RATE, SCOPE, State, Subject
from ingest.controls.registry.history import Registry, Step, build_registry, cut_timeline, find_state
from ingest.controls.registry.plan import Change, plan_changes
from ingest.controls.registry.records import _make_seal
from ingest.controls.registry.yaml_nodes import parse_yaml
from ingest.intake.intake import Intake
from tests.ingest.controls.registry.build import MOMENT

PLACE = parse_yaml("a: 1", "r.yaml")
PERSON = f"p_{1:024x}"
SUBJECTS = tuple(Subject(ASSIGNMENT.name, ("agent", name)) for name in "ab")

moments = some.integers(-3, 3).map(lambda days: MOMENT + timedelta(days=days))
states: some.SearchStrategy[State | None] = some.none() | some.sampled_from(("t1", "t2")).map(
    lambda team: {"team": team}
)
statements = some.lists(some.tuples(some.sampled_from(SUBJECTS), some.builds(Step, moments, states)), max_size=6)
steps = some.builds(
    lambda is_dated, times, values: [
        (time if number or is_dated else None, value)
        for number, (time, value) in enumerate(zip(sorted(times), values, strict=False))
    ],
    some.booleans(), some.sets(moments, min_size=1, max_size=3), some.lists(states, min_size=3, max_size=3),
)  # fmt: skip
items = some.dictionaries(some.sampled_from(SUBJECTS), steps, max_size=2).map(
    lambda found: [Item(subject, PLACE, tuple(versions)) for subject, versions in found.items()]
)


def apply(statements: list[tuple[Subject, Step]], changes: list[Change]) -> Registry:
    return build_registry(
        statements + [(change.subject, Step(change.effective_at, change.after)) for change in changes]
    )


@settings(max_examples=300, deadline=None)
@given(statements, items)
def test_a_second_apply_changes_nothing(statements: list[tuple[Subject, Step]], items: list[Item]) -> None:
    before = build_registry(statements)
    changes = plan_changes(before, items, MOMENT)
    after = apply(statements, changes)
    assert plan_changes(after, items, MOMENT) == []
    later = MOMENT + timedelta(days=9)
    assert plan_changes(after, items, later) == [], "nor does it later, when its times have passed"
    for subject in SUBJECTS:
        target = next((item.list_steps(MOMENT) for item in items if item.subject == subject), (Step(MOMENT, None),))
        for days in range(-8, 8):
            moment = MOMENT + timedelta(days=days / 2)
            wanted = before if moment < target[0].effective_at else {subject: target}
            assert find_state(after.get(subject, ()), moment) == find_state(wanted.get(subject, ()), moment)


@given(statements, moments)
def test_the_last_record_holds_from_its_time_on(statements: list[tuple[Subject, Step]], moment: datetime) -> None:
    """The rule of R17 as it is written, over the timelines that are built step by step."""
    registry = build_registry(statements)
    for subject in SUBJECTS:
        own = [step for name, step in statements if name == subject and step.effective_at <= moment]
        assert find_state(registry.get(subject, ()), moment) == (own[-1].state if own else None)


def test_a_step_that_changes_nothing_is_left_out() -> None:
    timeline = tuple(Step(MOMENT + timedelta(days=day), {"team": team}) for day, team in enumerate("aab"))
    assert [step.state for step in cut_timeline(timeline, MOMENT)] == [{"team": "a"}, {"team": "b"}]


VALUES: dict[Subject, tuple[State | None, ...]] = {
    Subject(SCOPE.name, ("organization", "acme")): (None, {"owner": PERSON}, {"head_count": 3}),
    Subject(SCOPE.name, ("team", "2026-10-01")): (None, {}, {"cost_center": "yes"}, {"cost_center": "1"}),
    Subject(AGREEMENT.name, ("MSA: 7 #",)): (None, {"provider": "a"}, {"provider": "b", "regions": ["eu", "1"]}),
    Subject(EXCHANGE_RATE.name, ("EUR", "USD")): (None, {"rate": "1"}, {"rate": "0.000000000001"}),
}
varied = some.lists(
    some.sampled_from([*VALUES]).flatmap(
        lambda subject: some.tuples(some.just(subject), some.builds(Step, moments, some.sampled_from(VALUES[subject])))
    ),
    max_size=9,
)


@settings(max_examples=300, deadline=None)
@given(varied)
def test_what_is_exported_would_change_nothing(statements: list[tuple[Subject, Step]]) -> None:
    registry = build_registry(statements)
    text = write_yaml(build_sections(registry, MOMENT, {})) or "teams: {}"
    seal = _make_seal(Intake("key", ("control",)))
    assert plan_changes(registry, read_declaration(text, "r.yaml", "acme", seal), MOMENT) == [], text


def test_an_owned_scope_is_one_item_of_what_is_declared_and_who_owns_it() -> None:
    chat = ("feature", "chat")
    days = [MOMENT + timedelta(days=day) for day in range(-3, 3)]
    registry = build_registry([
        (Subject(SCOPE.name, ("team", "a")), Step(days[0], {"owner": PERSON})),
        (Subject(SCOPE.name, chat), Step(days[0], {})),
        (Subject(ASSIGNMENT.name, chat), Step(days[1], {"team": "a"})),
        (Subject(SCOPE.name, chat), Step(days[4], {"cost_center": "CC-1"})),
        (Subject(SCOPE.name, chat), Step(days[5], None)),
        (Subject(ASSIGNMENT.name, chat), Step(days[5], None)),
    ])  # fmt: skip
    sections = build_sections(registry, MOMENT, {PERSON: "ann"})
    first = days[0].date()
    assert sections == {
        "teams": {"a": {"owner": "ann", "from": first}},
        "features": {"chat": [
            {"from": first}, {"team": "a", "from": days[1].date()},
            {"cost_center": "CC-1", "team": "a", "from": days[4].date(), "until": days[5].date()},
        ]},
    }  # fmt: skip
    text, seal = write_yaml(build_sections(registry, MOMENT, {})), _make_seal(Intake("key", ("control",)))
    items = read_declaration(text, "r.yaml", "acme", seal)
    assert plan_changes(registry, items, MOMENT) == []
