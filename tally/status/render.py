"""What a home is doing: the facts of `collect.py` for people."""

from typing import Any

from tally.output import err, out, size, table
from tally.status.outcome_counts import OUTCOMES

MOST = 5
"""Of partitions that lag, so many are shown."""


def show(found: dict[str, Any]) -> None:
    """Print them; what stands still goes to stderr."""
    out.print(found["home"], style="bold", markup=False)
    shown = table("part", "state", "address", "user", "password")
    for name, part in found["parts"].items():
        shown.add_row(name, part["state"], *(part.get(key, "") for key in ("url", "user", "password")))
        if analyst := part.get("analyst"):
            shown.add_row("", "", "the same, to read only", analyst["user"], analyst["password"])
    out.print(shown)
    _show_confinement(found["parts"].get("warehouse", {}).get("confinement"))
    for one in found["workers"]:
        _show_worker(one)
    for page, link in found["pages"].items():
        out.print(f"{page}: {link}")
    records = found["records"]
    stored = "no sink runs to store them" if records["stored"] is None else f"{records['stored']:,} stored"
    out.print(f"log: {found['log']}", markup=False)
    out.print(f"records: {records['recorded']:,} on the log, {records['folded']:,} folded, {stored}")
    _show_lags(found["partitions"])
    if rate := found["rate"]:
        out.print(
            f"folding now: {rate['records']:,} records/s, {rate['events']:,} events/s (of {rate['seconds']} seconds)"
        )
    if events := found["events"]:
        accepted = ", ".join(f"{events[name]:,} {name}" for name in OUTCOMES)
        out.print(
            f"events in the warehouse: {events['received']:,} received, {events['rejected']:,} rejected, {accepted}"
        )
    for problem in found["problems"]:
        err.print(problem, style="red", markup=False)
    out.print("disk: " + ", ".join(f"{name} {size(count)}" for name, count in found["bytes"].items()))


def _show_confinement(confinement: dict[str, Any] | None) -> None:
    if confinement is None or confinement["network"]:
        return
    lacks = "its files alone, not in its TCP connections," if confinement["files"] else "nothing"
    err.print(
        f"the warehouse's process is confined in {lacks}: Landlock has ABI {confinement['landlock_abi']} here, and "
        "4 is needed (Linux 6.7, with landlock among its security modules)",
        style="yellow",
    )


def _show_worker(worker: dict[str, Any]) -> None:
    partitions = worker["partitions"]
    if partitions is None:
        out.print(f"worker {worker['pid']}: {worker['url']} does not answer")
        return
    out.print(f"worker {worker['pid']}: {worker['url']} has partitions {', '.join(partitions) or 'none'}")
    for number, one in partitions.items():
        if one["stopped"]:
            err.print(f"partition {number} stands still at {one['next_offset']}: {one['stopped']}", markup=False)


def _show_lags(partitions: list[dict[str, Any]]) -> None:
    lagging = [one for one in partitions if sum(one["lag"].values())]
    if not lagging:
        return
    shown = table("partition", ">recorded", ">folded", ">stored", ">folds lack", ">sink lacks")
    for one in lagging[:MOST]:
        at = [f"{one[stage]:,}" if one[stage] is not None else "" for stage in ("recorded", "folded", "stored")]
        shown.add_row(str(one["partition"]), *at, *(f"{one['lag'].get(stage, '')}" for stage in ("folds", "sink")))
    out.print(shown)
    if len(lagging) > MOST:
        out.print(f"… and {len(lagging) - MOST} more partitions lag (--json tells all)")
