"""Episodes in words (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from shlex import join
from typing import Any

from dashboards.components.format import exact, money, quantify
from dashboards.components.timeline import Clock
from ledger.detectors import describe_detector, spell_detector

QUESTION = "What is running away now, and what does it cost an hour?"
STATES = {"active": "active", "closed": "closed", "history": "history: found when it was over, nobody was told"}
REASONS = {"new results": "the session had new results", "silent": "the session stopped calling"}


def answer(states: Iterable[Mapping[str, Any]]) -> str:
    """Answer the question by the episodes of each state and kind."""
    active = {row["kind"]: row for row in states if row["state"] == "active"}
    runaways, budgets = (active.get(kind) for kind in ("runaway", "budget_crossing"))
    if runaways is None:
        first = "No agent is running away."
    else:
        verb = "is" if runaways["episodes"] == 1 else "are"
        first = (
            f"{quantify(int(runaways['episodes']), 'runaway')} {verb} active, at {format_sums(runaways['per_hour'])[0]}"
            " an hour."
        )
    if budgets is None:
        return first
    number = int(budgets["episodes"])
    rest = "is at its limit" if number == 1 else "are at their limit"
    return f"{first} {quantify(number, 'budget')} {rest}."


def title(episode: Mapping[str, Any]) -> str:
    """Say what the episode is, in a few words."""
    if episode["kind"] == "budget_crossing":
        return f"{episode['dimension']} {episode['scope_value']}".strip() + " reached the limit of a budget"
    agent = episode["agent"] or "An agent"
    if episode["tool"]:
        return f"{agent} {'repeats' if episode['state'] == 'active' else 'repeated'} {episode['tool']}"
    return f"{agent}: {spell_detector(episode['detector'])}"


def explain(episode: Mapping[str, Any]) -> str:
    """Say what repeats, as a sentence."""
    if episode["kind"] == "budget_crossing":
        return "Spend in the budget's window reached its limit."
    families = ", ".join(map(spell_detector, episode["families"]))
    found = f" Signals that found it: {families}." if families else ""
    return f"Session {episode['session']}: {describe_detector(episode['detector'])}.{found}"


def list_clocks(episode: Mapping[str, Any]) -> list[Clock]:
    """List the clocks that the episode has, in the order of their times."""
    names = {
        "began_at": "Began", "detected_at": "Detected", "acknowledged_at": "Acknowledged", "decided_at": "Decided",
        "restored_at": "Ended by itself", "closed_at": "Closed",
    }  # fmt: skip
    clocks = [Clock(name, episode[column]) for column, name in names.items() if episode.get(column) is not None]
    return sorted(clocks, key=lambda clock: clock.time)


def list_commands(episode: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List what a reader can do about it: what for, and the command to copy."""
    organization = ["--org", str(episode["organization"])]
    if episode["kind"] == "budget_crossing":
        return [("See what the limit is, and what is used", join(["tally", "budget", "list", *organization]))]
    alert = str(episode["episode_id"])
    after = [
        ("It was a runaway", join(["tally", "alerts", "label", alert, "true", *organization])),
        ("It was a false alarm", join(["tally", "alerts", "label", alert, "false", *organization])),
    ]
    if episode["state"] != "active":
        return after
    silence = ["tally", "alerts", "silence", "--alert", alert, "--until", "2h"]
    return [
        ("Look after it", join(["tally", "alerts", "ack", alert, *organization])),
        ("Say nothing of it for two hours", join([*silence, *organization])),
        ("Stop what it may spend: find its grant", join(["tally", "grant", "list", *organization])),
        ("… and pause that grant", f"tally grant narrow GRANT --pause {join(organization)}"),
        ("Say that it is over", join(["tally", "alerts", "resolve", alert, *organization])),
        *after,
    ]


def describe_state(episode: Mapping[str, Any]) -> str:
    """Say what state it is in, and why."""
    if episode["state"] == "active":
        return "active, acknowledged" if episode["acknowledged_at"] else "active"
    reason = str(episode["reason"])
    said = REASONS.get(reason, reason)
    return f"{episode['state']}: {said}" if said else str(episode["state"])


def describe_step(step: Sequence[Any]) -> str:
    """Say what a person did: ``12:04:10 UTC acknowledged: stopping the job``."""
    time, what, _, reason = step
    moment: datetime = time
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC {what}" + (f": {reason}" if reason else "")


def format_sums(amounts: Mapping[str, Decimal]) -> tuple[str, str]:
    """Format costs, each currency by itself: shortened, and with all digits."""
    if not amounts:
        return "unpriced", "none of its calls has a price"
    pairs = [(amount, currency) for currency, amount in sorted(amounts.items())]
    return " + ".join(money(*pair) for pair in pairs), " + ".join(exact(*pair) for pair in pairs)
