"""The words of a message, which every channel puts into its own form (pure)."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import quote

from alerting.messages import ACKNOWLEDGED, ESCALATED, HISTORY, OPENING, RAISED, RESOLVED, Message, is_page
from ledger.detectors import spell_detector
from ledger.money import brief

MAX_NAME_LENGTH = 120
"""Characters of a name in a sentence."""

FormatName = Callable[[str], str]
"""Write a name so that nothing in it is markup."""


class Context(NamedTuple):
    """Facts that a message says beside its line: the address of the dashboards, and who is behind the team, by name."""

    dashboards: str | None = None
    team: str | None = None
    owner: str | None = None
    on_call: str | None = None


class Wording(NamedTuple):
    """A message in words: a symbol, a title, a sentence, and the page that shows it."""

    symbol: str
    title: str
    sentence: str
    page: str | None


def describe(message: Message, format_name: FormatName) -> Wording:
    """Describe a message. Names are written by ``format_name``."""
    data, organization = message.data, format_name(message.organization)
    if message.type.startswith("budget."):
        return _describe_budget(message, organization, format_name)
    if message.type == HISTORY:
        return Wording(
            "scroll", "Runaways of the past", f"{data['alerts']} were found in what {organization} imported, "
            f"{_describe_cost(data)}; nobody was paged for them", "incidents",
        )  # fmt: skip
    if message.type not in _TITLES:
        return Wording(
            "wave", "Test", f"Tallystick reaches this channel for {organization}; nothing has happened", None
        )
    symbol, title = _TITLES[message.type]
    sentence = f"{_describe_loop(data, format_name)} of {organization}, {_describe_cost(data)}"
    if message.type in OPENING and not is_page(message):
        symbol = "warning"
    sentence += f"; by {format_name(data['by'])}" if "by" in data else ""
    sentence += f"; reason: {format_name(data['reason'])}" if "reason" in data else ""
    return Wording(symbol, title, sentence, f"incidents?alert={quote(data['alert'], safe='')}")


_TITLES = {
    RAISED: ("rotating_light", "Runaway"),
    ESCALATED: ("rotating_light", "Runaway escalated"),
    ACKNOWLEDGED: ("eyes", "Runaway acknowledged"),
    RESOLVED: ("white_check_mark", "Runaway over"),
}


def list_facts(message: Message, context: Context) -> list[tuple[str, str]]:
    """List what a reader looks for first: how bad it is, and whose it is."""
    data = message.data
    facts = {
        "Severity": data.get("severity"),
        "Team": context.team or data.get("team"),
        "Owner": context.owner,
        "On call": context.on_call,
        "Since": _format_time(data["since_us"]) if "since_us" in data else None,
        "Spent": _format_sums(data["spent"]) if data.get("spent") else None,
        "An hour": _format_rates(data["per_hour"]) if data.get("per_hour") else None,
        "Projected": _format_rates(data["projected"]) if data.get("projected") else None,
        "Found by": ", ".join(map(spell_detector, data.get("families") or ())) or None,
        "Alert": message.alert,
    }
    return [(name, shorten(value)) for name, value in facts.items() if value]


def find_link(wording: Wording, context: Context) -> str | None:
    """Return the address of the page that shows a message; None while no dashboards run."""
    return f"{context.dashboards}/{wording.page}" if context.dashboards and wording.page else None


def name_plainly(name: str) -> str:
    """Write a name for a text without markup: in one line, and not longer than a sentence bears."""
    return "".join(character if character.isprintable() else " " for character in shorten(name))


def shorten(text: str, length: int = MAX_NAME_LENGTH) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _describe_budget(message: Message, organization: str, format_name: FormatName) -> Wording:
    data = message.data
    scope = f"{data['dimension']} {format_name(data['scope'])} of {organization}"
    match message.type:
        case "budget.threshold_crossed":
            used, limit = brief(data["used"]), brief(data["limit"])
            return Wording(
                "money_with_wings", f"{data['threshold']} % of a budget",
                f"{scope} used {used} of {limit} {data['currency']} in {_format_duration(data['window_s'])}", "budgets",
            )  # fmt: skip
        case "budget.unknown_usage_raised":
            return Wording(
                "grey_question", "Usage of unknown cost", f"{scope}, whose budget denies it, has calls of unknown cost "
                f"({data['unknown_calls']}) in {_format_duration(data['window_s'])}", "budgets",
            )  # fmt: skip
        case _:
            return Wording("white_check_mark", "No more usage of unknown cost", scope, "budgets")


def _describe_loop(data: Mapping[str, Any], format_name: FormatName) -> str:
    agent = format_name(data["agent"]) if "agent" in data else "an agent"
    team = f" (team {format_name(data['team'])})" if "team" in data else ""
    session = f"in session {format_name(data['session'])}"
    if "tool" not in data:
        calls = data.get("calls", data["repeats"])
        return f"{agent}{team}, {spell_detector(data['detector'])} over {calls} calls, {session}"
    return (
        f"{agent}{team} called {format_name(data['tool'])} {data['repeats']} times with the same arguments and "
        f"result, {session}"
    )


def _describe_cost(data: Mapping[str, Any]) -> str:
    rate = f", {_format_rates(data['per_hour'])} an hour" if data.get("per_hour") else ""
    return f"spent {_format_sums(data['spent']) or 'nothing that has a price'}{rate}"


def _format_sums(sums: Mapping[str, str]) -> str:
    return " and ".join(f"{brief(amount)} {currency}" for currency, amount in sums.items())


def _format_rates(rates: Mapping[str, str]) -> str:
    return " and ".join(f"{Decimal(amount):.2f} {currency}" for currency, amount in rates.items())


def _format_time(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _format_duration(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
