"""Episodes as the warehouse has them: what runs away now, and what was."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from clickhouse_connect.driver.client import Client

from ledger.detectors import describe_detector
from ledger.errors import TallyError
from ledger.money import brief

KINDS = ("runaway", "budget_crossing")
_COLUMNS = (
    "episode_id, kind, organization, state, severity, detector, dimension, scope_value, team, agent, session, tool,"
    " repeats, began_at, detected_at, acknowledged_at, decided_at, restored_at, closed_at, spent, per_hour, reason,"
    " label"
)
_CLOCKS = ("began_at", "detected_at", "acknowledged_at", "decided_at", "restored_at", "closed_at")


def list_episodes(
    client: Client, kinds: Sequence[str], organization: str | None, every: bool, limit: int
) -> list[dict[str, Any]]:
    """List active episodes, the one that costs most an hour first; with ``every`` all of them, the newest first."""
    order = "began_at desc" if every else "arrayMax(mapValues(per_hour)) desc, kind = 'runaway' desc, began_at desc"
    return _query(
        client,
        f"select {_COLUMNS} from analytics.fct_episodes"
        " where kind in {kinds:Array(String)} and ({every:Bool} or state = 'active')"
        " and (empty({organization:String}) or organization = {organization:String})"
        f" order by {order}, episode_id limit {{limit:UInt32}}",
        {"kinds": list(kinds), "every": every, "organization": organization or "", "limit": limit},
    )


def find_episode(client: Client, episode: str) -> dict[str, Any]:
    """Find an episode by its id, with its owner. TallyError where there is none."""
    rows = _query(client, "select * from analytics.fct_episodes where episode_id = {id:String}", {"id": episode})
    if not rows:
        raise TallyError(f"no episode {episode!r}: `tally episodes list --all` shows their ids")
    return rows[0]


def describe(episode: dict[str, Any]) -> str:
    """Say what it is, as a sentence without its end."""
    if episode["kind"] == "budget_crossing":
        return f"spend of {episode['dimension']} {episode['scope_value']}".rstrip() + " reached the limit of a budget"
    agent = episode["agent"] or "an agent"
    tool = f", {episode['tool']}" if episode["tool"] else ""
    return f"{agent}: {describe_detector(episode['detector'])}{tool}"


def format_sums(sums: dict[str, Decimal]) -> str:
    """Format amounts, each currency by itself."""
    return " and ".join(f"{brief(str(amount))} {currency}" for currency, amount in sorted(sums.items()))


def as_json(episode: dict[str, Any]) -> dict[str, Any]:
    """Return it with times and amounts as text."""
    texts = {name: None if episode[name] is None else episode[name].isoformat() for name in _CLOCKS}
    sums = {
        name: {currency: str(amount) for currency, amount in episode[name].items()}
        for name in ("spent", "per_hour", "projected")
        if name in episode
    }
    facts = episode | texts | sums | {"what": describe(episode)}
    if "handling" in episode:
        facts["handling"] = [[step[0].isoformat(), *step[1:]] for step in episode["handling"]]
        facts["last_at"] = episode["last_at"].isoformat()
    return facts


def _query(client: Client, sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    return list(client.query(sql, parameters=parameters, tz_mode="aware").named_results())
