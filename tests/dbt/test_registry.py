"""Who owns what, as of two times: forty teams in a tree, three reorganizations, keys that many share, agents with call
trees, tags and outcomes. What the models say equals the registry replayed in Python, and attribution equals the
generator's own truth to the last digit."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from ledger.log import partition_of, records
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tally.product.registry.answers import OWNED_COLUMNS, read_spend
from tests.dashboards.feed import ORGANIZATION, Feed, call
from tests.dashboards.server import warehouse
from tests.dbt.registry_events import OWNED, PICO_A_TOKEN, START, Organization
from tests.tally.conftest import invoke
from tests.warehouse.plugin import InstallWarehouse
from warehouse.client import connect
from warehouse.rollups import build_rollups

PICO = "toInt128(coalesce({}, 0) * 1000000000000)"
"""An amount of ClickHouse as an integer of 10^-12."""
Subject = tuple[str, str, str]


class Statement(NamedTuple):
    """What a record of the log says of a subject; None where it ends it."""

    offset: int
    effective_at: datetime
    subject: Subject
    state: dict[str, Any] | None


@pytest.fixture(scope="module")
def organization() -> Organization:
    return Organization("registry 1")


@pytest.fixture(scope="module")
def settings(
    organization: Organization, tmp_path_factory: pytest.TempPathFactory, install_warehouse: InstallWarehouse
) -> Iterator[Settings]:
    """Calls first, then who owns what became known: reorganizations in the order of their times and out of it."""
    with warehouse(install_warehouse(tmp_path_factory.mktemp("registry")).home) as settings:
        feed = Feed(settings)
        feed.begin()
        feed.add(organization.make_calls(500))
        feed.add([*organization.make_tree(0, 40), *organization.assign_some(0, 60)])
        feed.add([*organization.make_tree(40, 15), *organization.assign_some(40, 10)])  # a reorganization
        feed.add([*organization.make_tree(20, 10), *organization.assign_some(25.5, 10)])  # one that was heard of late
        feed.add([*organization.make_tree(200, 5), organization.end(300, "t7")])  # what is to come
        feed.add([*organization.make_tree(60, 15), organization.end(70, "t9"), *organization.assign_some(60, 20)])
        feed.add([organization.reverse(3)])
        feed.add(organization.judge_some(80))
        feed.close()
        build_rollups(connect(settings))
        yield settings


@pytest.fixture(scope="module")
def client(settings: Settings) -> Client:
    return connect(settings)


@pytest.fixture(scope="module")
def statements(settings: Settings) -> list[Statement]:
    """The records of the registry as they stand on the log."""
    log = EmbeddedLog(settings.home)
    found = []
    for record in records(log, EVENTS, partition_of(ORGANIZATION)):
        for line in record.value.split(b"\n"):
            data = msgspec.json.decode(line)["data"]
            if str(data.get("control")).startswith("scope."):
                body = data["body"]
                family = "assignment" if data["control"] == "scope.assigned" else "scope"
                subject = (family, body.pop("dimension"), body.pop("scope"))
                is_end = data["control"] == "scope.ended" or (family == "assignment" and "team" not in body)
                effective_at = datetime.fromisoformat(data["effective_at"])
                found.append(Statement(record.offset, effective_at, subject, None if is_end else body))
    log.close()
    return found


def replay(statements: list[Statement], moment: datetime, offset: int) -> dict[Subject, dict[str, Any]]:
    """Replay the registry as it was at a moment, as known at an offset: R17, word for word."""
    states: dict[Subject, dict[str, Any] | None] = {}
    for statement in statements:
        if statement.offset <= offset and statement.effective_at <= moment:
            states[statement.subject] = statement.state
    return {subject: state for subject, state in states.items() if state is not None}


def find_path(registry: dict[Subject, dict[str, Any]], team: str) -> list[str]:
    path = [team]
    while (parent := registry.get(("scope", "team", path[-1]), {}).get("parent")) and parent not in path:
        path.append(parent)
    return path


def attribute(registry: dict[Subject, dict[str, Any]], fields: dict[str, Any]) -> tuple[str, str]:
    if "team" in fields:
        return "event", fields["team"]
    for dimension in ("key", "agent", "service", "feature", "project", "provider_account"):
        state = registry.get(("assignment", dimension, fields.get(dimension, "")))
        if state is not None:
            return dimension.removeprefix("provider_"), state["team"]
    return "unowned", ""


def test_every_answer_as_of_two_times_is_that_of_a_replay(client: Client, statements: list[Statement]) -> None:
    offsets = sorted({statement.offset for statement in statements})
    effective = sorted({statement.effective_at for statement in statements})
    moments = [start + shift for start in effective for shift in (-timedelta(microseconds=1), timedelta(0))]
    condition = (
        "known_from_offset <= k and coalesce(k < known_to_offset, true)"
        " and valid_from <= t and coalesce(t < valid_to, true)"
    )
    answers: dict[tuple[int, datetime], dict[Subject, dict[str, Any]]] = {}
    for family, columns in (
        ("scope", "tuple(parent, cost_center, toString(head_count))"),
        ("assignment", "tuple(team, '', '')"),
    ):
        rows = client.query(
            f"select k, t, dimension, scope_value, {columns} from analytics.dim_{family}s"
            " cross join (select arrayJoin({offsets:Array(UInt64)}) as k) as o"
            " cross join (select arrayJoin({moments:Array(DateTime64(6, 'UTC'))}) as t) as m"
            f" where {condition}",
            parameters={"offsets": offsets, "moments": moments}, tz_mode="aware",
        ).result_rows  # fmt: skip
        names = ("parent", "cost_center", "head_count") if family == "scope" else ("team", "", "")
        for offset, moment, dimension, scope, values in rows:
            state = {name: value for name, value in zip(names, values, strict=True) if value}
            states = answers.setdefault((offset, moment), {})
            assert (family, dimension, scope) not in states, "one statement holds at a time"
            states[family, dimension, scope] = state
    for offset in offsets:
        for moment in moments:
            truth = {
                subject: {name: str(value) for name, value in state.items()}
                for subject, state in replay(statements, moment, offset).items()
            }
            assert answers.get((offset, moment), {}) == truth, (offset, moment)
    assert len(answers) > 50


def test_attribution_is_the_truth_to_the_last_digit(
    client: Client, organization: Organization, statements: list[Statement]
) -> None:
    costs, tree, centers, counts = Counter[tuple[str, str]](), Counter[str](), Counter[str](), Counter[str]()
    for id, time, fields in organization.calls:
        if id in organization.reversed:
            continue
        registry = replay(statements, time, 10**9)
        attributed_by, team = attribute(registry, fields)
        cost = fields["tokens"] * PICO_A_TOKEN
        costs[attributed_by, team] += cost
        counts[team] += 1
        path = find_path(registry, team) if team else []
        tree.update(dict.fromkeys(path, cost))
        states = (registry.get(("scope", "team", name), {}) for name in path)
        centers[next((state["cost_center"] for state in states if "cost_center" in state), "")] += cost
    assert len(costs) > 60 and costs["unowned", ""] and max(map(len, tree)) < 20

    sums: dict[str, Counter[Any]] = defaultdict(Counter)
    for basis, team, path, center, cost, number in client.query(
        "select toString(attributed_by), owner_team, owner_path, owner_cost_center,"
        f" {PICO.format('sum(billed_cost)')}, sum(calls) from analytics.fct_attributed_usage"
        " group by attributed_by, owner_team, owner_path, owner_cost_center"
    ).result_rows:  # one read, as the plan of the view takes the time, not its rows
        sums["owners"][basis, team] += cost
        sums["tree"].update(dict.fromkeys(path, cost))
        sums["centers"][center] += cost
        sums["counts"][team] += number
    assert sums["owners"] == costs
    assert sums["tree"] == tree
    assert sums["centers"] == centers
    assert sums["counts"] == counts
    assert sums["owners"].total() == sum(costs.values()), "nothing is lost, and nothing counted twice"


def find_roots(calls: list[tuple[str, datetime, dict[str, Any]]]) -> dict[str, list[str]]:
    """Return of each call the way to its root, itself first: a circle is cut at its earliest call."""
    parents = {id: fields.get("parent_call", "") for id, _, fields in calls}
    times = {id: time for id, time, _ in calls}
    for id in parents:
        way = [id]
        while (parent := parents[way[-1]]) in parents and parent not in way:
            way.append(parent)
        if parent in way:
            parents[min(way[way.index(parent) :], key=lambda name: times[name])] = ""
    ways = {}
    for id in parents:
        ways[id] = [id]
        while (parent := parents[ways[id][-1]]) in parents:
            ways[id].append(parent)
    return ways


def test_call_trees_tags_and_outcomes_are_the_truth_to_the_last_digit(
    client: Client, organization: Organization
) -> None:
    ways = find_roots(organization.calls)
    costs = {
        id: 0 if id in organization.reversed else fields["tokens"] * PICO_A_TOKEN
        for id, _, fields in organization.calls
    }
    subtrees, trees, depths = Counter[str](), Counter[str](), dict[str, int]()
    tags: dict[str, Counter[str]] = defaultdict(Counter)
    for id, _, fields in organization.calls:
        subtrees.update(dict.fromkeys(ways[id], costs[id]))
        trees[ways[id][-1]] += costs[id]
        depths[ways[id][-1]] = max(depths.get(ways[id][-1], 0), len(ways[id]) - 1)
        for key in ("ring", "epic"):
            tags[key][fields.get("tags", {}).get(key, "")] += costs[id]
    assert max(depths.values()) > 5

    def read(sql: str) -> dict[Any, Any]:
        return {row[0]: row[1] if len(row) == 2 else row[1:] for row in client.query(sql).result_rows}

    steps = f"select event_id, {PICO.format('subtree_billed_cost')}, depth from analytics.fct_call_steps"
    assert read(steps) == {id: (subtrees[id], len(way) - 1) for id, way in ways.items()}
    whole = f"select event_id, {PICO.format('billed_cost')}, depth from analytics.fct_call_trees"
    assert read(whole) == {root: (cost, depths[root]) for root, cost in trees.items()}
    assert sum(trees.values()) == sum(costs.values())
    tagged = f"select (tag_key, tag_value), {PICO.format('sum(billed_cost)')} from analytics.fct_tagged_usage"
    assert read(f"{tagged} group by tag_key, tag_value") == {
        (key, value): cost for key, values in tags.items() for value, cost in values.items()
    }
    known: dict[str, int] = {}
    for id, value in organization.outcomes:
        known[ways[id][-1]] = value
    units = f"select (unit, metric), {PICO.format('sum(billed_cost)')}, sum(units) from analytics.fct_unit_costs"
    assert read(f"{units} where unit in ('call', 'successful outcome') group by unit, metric") == {
        ("call", ""): (sum(costs.values()), len(costs) - len(organization.reversed)),
        ("successful outcome", "solved"): (sum(trees[root] for root in known), sum(known.values())),
    }


def test_spend_as_it_was_known_is_that_of_a_replay(
    client: Client, organization: Organization, statements: list[Statement]
) -> None:
    month = f"{START + timedelta(days=45):%Y-%m}"
    offsets = sorted({statement.offset for statement in statements})
    for offset in (offsets[0] - 1, offsets[1], offsets[-1]):
        ((known,),) = client.query(
            "select max(accepted_at) from analytics.fct_records where log_offset <= {offset:UInt64}",
            parameters={"offset": offset}, tz_mode="aware",
        ).result_rows  # fmt: skip
        spend = Counter[str]()
        for _, time, fields in organization.calls:  # all of them came first, and the reversal last
            if f"{time:%Y-%m}" == month:
                spend[attribute(replay(statements, time, offset), fields)[1]] += fields["tokens"] * PICO_A_TOKEN
        rows = read_spend(client, ORGANIZATION, month, known)
        assert {row.team: int(row.billed_cost * 10**12) for row in rows} == spend, offset


def test_the_command_and_the_models_list_what_may_own_in_one_order() -> None:
    macro = (Path(__file__).parents[2] / "dbt/macros/owners.sql").read_text()
    listed = re.findall(r"\('(\w+)', '(\w+)', '\w+'\)", macro)
    assert tuple(listed) == OWNED_COLUMNS


def test_a_reorganization_moves_what_follows_it_and_no_entry(
    settings: Settings, client: Client, organization: Organization
) -> None:
    entries = "select count(), sum(cityHash64(*)) from analytics.fct_entries"
    owned = (
        "select occurred_at >= {t:DateTime64(6)} as is_after, owner_team, sum(billed_cost)"
        " from analytics.fct_attributed_usage group by is_after, owner_team order by is_after, owner_team"
    )
    parameters = {"t": START + timedelta(days=50)}

    def read() -> list[Any]:
        rows = client.query(owned, parameters=parameters).result_rows
        return [
            client.query(entries).result_rows,
            [row for row in rows if not row[0]],
            [row for row in rows if row[0]],
        ]

    former = read()
    feed = Feed(settings)
    feed.add([organization.assign(50, "service", name, "t1") for name in OWNED["service"]])
    feed.close()
    latter = read()
    assert former[:2] == latter[:2] and former[2] != latter[2]


FILE = """
teams:
  product: {owner: bob, cost_center: CC-1, from: FIRST}
  search: [{parent: product, from: FIRST}, {head_count: 3, from: NEXT}]
features: {chat: {team: search, from: FIRST}}
exchange_rates: {EUR/USD: {rate: 1.08, from: FIRST}}
grants: {search: {scope: user=ann@example.com, limits: [billed:100USD/day@Europe/Berlin], at_limit: throttle}}
"""


def test_the_commands_answer_as_of_two_times_and_export_what_is_declared(settings: Settings, tmp_path: Path) -> None:
    home = {"TALLY_HOME": str(settings.home), "TALLY_ORGANIZATION": "beta"}
    first, following = START.date(), (START + timedelta(days=40)).date()
    file = tmp_path / "r.yaml"
    file.write_text(FILE.replace("FIRST", str(first)).replace("NEXT", str(following)))
    calls = [
        call("own", START + timedelta(days=1), feature="chat", model="gpt-4o", tokens={"input": 1_000_000}),
        call("lost", START + timedelta(days=1), agent="lost one", model="gpt-4o", tokens={"input": 2_000_000}),
    ]
    (tmp_path / "calls.jsonl").write_bytes(b"\n".join(calls))
    assert invoke("import", str(tmp_path / "calls.jsonl"), **home).returncode == 0
    before = datetime.now(UTC).isoformat()
    assert invoke("apply", str(file), **home).returncode == 0
    facts = json.loads(invoke("as-of", str(first), "--json", **home).stdout)
    teams = [row for row in facts["scopes"] if row["dimension"] == "team"]
    assert [(row["scope_value"], row["parent"], row["head_count"]) for row in teams] == [
        ("product", "", None), ("search", "product", None),
    ]  # fmt: skip
    assert facts["exchange_rates"][0]["rate"] == "1.080000000000"
    assert [(row["team"], row["billed_cost"], row["calls"]) for row in facts["spend"]] == [
        ("", "5.000000000000", 1), ("search", "2.500000000000", 1),
    ]  # fmt: skip
    later = invoke("as-of", str(following), **home).stdout
    assert "bob" in later and "product" in later and "CC-1" in later
    known = json.loads(invoke("as-of", str(first), "--known", before, "--json", **home).stdout)
    assert known["scopes"] == known["assignments"] == []
    assert [(row["team"], row["calls"]) for row in known["spend"]] == [("", 2)]
    exported = invoke("export", "registry", **home).stdout
    assert '#   "lost one": TEAM  # 5.000000000000 USD, 1 calls' in exported
    file.write_text(exported)
    assert invoke("plan", str(file), **home).returncode == 0
    assert invoke("apply", str(file), **home).stdout == (
        "No changes: the registry is what the file declares.\nNo changes: the grants are what the file declares.\n"
    )
    assert "scope: user=ann@example.com" in exported
    file.write_text(exported.replace("# agents:", "agents:").replace('#   "lost one": TEAM', '  "lost one": product'))
    assert invoke("apply", str(file), **home).returncode == 0
    unowned = json.loads(invoke("export", "registry", "--json", **home).stdout)["unowned"]
    assert [(row["section"], row["billed_cost"]) for row in unowned] == [
        ("agents", "5.000000000000"), ("models", "5.000000000000"),
    ], "owned from now on, not before"  # fmt: skip
