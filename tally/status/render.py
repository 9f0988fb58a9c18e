"""Print the status of a home, which `collect.py` collects, for people."""

from typing import Any

from ledger.money import brief
from ledger.outcomes import OUTCOMES
from tally.output import err, format_size, make_table, out

MAX_PARTITIONS = 5
"""Maximum number of lagging partitions to show."""


def print_status(facts: dict[str, Any]) -> None:
    """Print the status; problems and stopped partitions go to stderr."""
    out.print(facts["home"], style="bold", markup=False)
    table = make_table("service", "state", "address", "user", "password")
    for name, service in facts["services"].items():
        table.add_row(name, service["state"], *(service.get(key, "") for key in ("url", "user", "password")))
        if analyst := service.get("analyst"):
            table.add_row("", "", "the same, read-only", analyst["user"], analyst["password"])
    out.print(table)
    _print_confinement(facts["services"].get("warehouse", {}).get("confinement"))
    for worker in facts["workers"]:
        _print_worker(worker)
    for page, link in facts["pages"].items():
        out.print(f"{page}: {link}")
    records = facts["records"]
    stored = "no sink runs" if records["stored"] is None else f"{records['stored']:,} stored"
    out.print(f"log: {facts['log']}", markup=False)
    out.print(f"records: {records['recorded']:,} on the log, {records['folded']:,} folded, {stored}")
    out.print("         (a record holds one event or many, so their numbers differ from those of events)")
    _print_lags(facts["partitions"])
    if rate := facts["rate"]:
        out.print(
            f"fold rate: {rate['records']:,} records/s, {rate['events']:,} events/s (measured over {rate['seconds']} s)"
        )
    if events := facts["events"]:
        accepted = ", ".join(f"{events[name]:,} {name}" for name in OUTCOMES)
        out.print(
            f"events in the warehouse: {events['received']:,} received, {events['rejected']:,} rejected, {accepted}"
        )
    if unknown := facts["unknown_usage"]:
        out.print(f"cost not known: {describe_unknown_usage(unknown)}", markup=False)
    for problem in facts["problems"]:
        err.print(problem, style="red", markup=False)
    out.print("disk: " + ", ".join(f"{name} {format_size(count)}" for name, count in facts["bytes"].items()))


def describe_unknown_usage(unknown: dict[str, Any]) -> str:
    """Describe the calls whose cost is not known: ``12 calls without usage: at most 3.1 USD``."""
    states = {"without_usage": "without usage", "without_price": "without a price", "quarantined": "in quarantine"}
    calls = ", ".join(f"{_count_calls(unknown[name])} {state}" for name, state in states.items() if unknown[name])
    if not calls:
        return "no call"
    bounds = [f"at most {brief(amount)} {currency}" for currency, amount in unknown["at_most"].items()]
    if unknown["unbounded"]:
        bounds.append(f"{_count_calls(unknown['unbounded'])} without an upper bound")
    return f"{calls}: {', '.join(bounds)}"


def _count_calls(number: int) -> str:
    return f"{number:,} call{'s' if number != 1 else ''}"


def _print_confinement(confinement: dict[str, Any] | None) -> None:
    if confinement is None or confinement["network"]:
        return
    extent = "confined to its files, but not in its TCP connections" if confinement["files"] else "not confined"
    err.print(
        f"the warehouse's process is {extent}: Landlock has ABI {confinement['landlock_abi']} here, and "
        "4 is needed (Linux 6.7, with landlock among its security modules)",
        style="yellow",
    )


def _print_worker(worker: dict[str, Any]) -> None:
    partitions = worker["partitions"]
    if partitions is None:
        out.print(f"worker {worker['pid']}: {worker['url']} does not answer")
        return
    out.print(f"worker {worker['pid']}: {worker['url']} has partitions {', '.join(partitions) or 'none'}")
    for number, partition in partitions.items():
        if partition["stopped"]:
            err.print(
                f"partition {number} has stopped at {partition['next_offset']}: {partition['stopped']}", markup=False
            )


def _print_lags(partitions: list[dict[str, Any]]) -> None:
    lagging = [partition for partition in partitions if sum(partition["lag"].values())]
    if not lagging:
        return
    table = make_table("partition", ">recorded", ">folded", ">stored", ">fold lag", ">sink lag")
    for partition in lagging[:MAX_PARTITIONS]:
        offsets = [
            f"{partition[stage]:,}" if partition[stage] is not None else ""
            for stage in ("recorded", "folded", "stored")
        ]
        table.add_row(
            str(partition["partition"]),
            *offsets,
            *(f"{partition['lag'].get(stage, '')}" for stage in ("folds", "sink")),
        )
    out.print(table)
    if len(lagging) > MAX_PARTITIONS:
        out.print(f"… and {len(lagging) - MAX_PARTITIONS} more partitions lag (--json lists all)")
