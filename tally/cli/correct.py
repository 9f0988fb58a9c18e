"""``tally correct``: put one event right, without rewriting anything."""

from typing import Annotated, Any

import typer

from tally.cli.options import AsJson, Organization
from tally.output import out, print_json

Event = Annotated[
    str, typer.Argument(help="SOURCE/ID of the event, its id where one source has it, or its position (3-1801-0).")
]
_COSTS = ("list_costs", "effective_costs", "billed_costs")


def correct(
    event: Event,
    reason: Annotated[str, typer.Option(help="Reason; stored on the log.")],
    reverse: Annotated[bool, typer.Option("--reverse", help="Take the event out of the ledger.")] = False,
    fields: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Replace a field; without VALUE remove it. Repeatable."),
    ] = None,
    release: Annotated[bool, typer.Option("--release", help="Count an event that is quarantined or held.")] = False,
    accept: Annotated[
        str | None,
        typer.Option(metavar="POSITION", help="Count the conflicting event at this position in its place."),
    ] = None,
    organization: Organization = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show before and after; append nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Correct one event: reverse it, replace fields of it, release it, or accept a conflict in its place.

    The event stays on the log. A correction is appended: the entry in force is taken back by one with the opposite
    sign, and the new one is priced by the books now in force. What --set does not name stays. Costs before and after
    are shown, and the way back: a correction too. `tally price explain EVENT` lists conflicts with their positions.

    Example: tally correct checkout/42 --set tokens.input=1200 --reason "the client counted twice"

    Example: tally correct checkout/42 --accept 3-1801-0 --reason "the retry has the right usage"

    Exit codes: 0 corrected, or shown (--dry-run); 2 no such event, bad input, or nothing would change."""
    from ledger.errors import TallyError
    from tally.processes.join import needing
    from tally.processes.service import STREAMS
    from tally.product.catch_up import wait_for_folds
    from tally.product.correction import append_correction, build_correction, find_history, list_changes, try_correction
    from tally.product.correction_undo import find_undo
    from tally.session import opened, settings

    actions = {"reversal": reverse, "replacement": bool(fields), "release": release, "acceptance": accept is not None}
    chosen = [name for name, is_chosen in actions.items() if is_chosen]
    if len(chosen) != 1:
        raise TallyError("give one of --reverse, --set FIELD=VALUE, --release and --accept POSITION")
    config = settings(organization=organization)
    with opened(config) as log:
        history = find_history(log, config.organization, event)
        position = None if accept is None else _parse_position(accept, config.organization)
        correction = build_correction(config, history, chosen[0], reason, _parse_fields(fields or []), position)
        trial = try_correction(log, history, correction)
        facts: dict[str, Any] = {
            "organization": config.organization, "source": history.source, "id": history.id, "action": chosen[0],
            "dry_run": dry_run, **trial.as_json(), "changes": list_changes(history, correction),
            **find_undo(config, history, trial, organization).as_json(),
        }  # fmt: skip
        if not dry_run:
            place = append_correction(log, history, correction)
            with needing(config, [STREAMS]) as running:
                wait_for_folds(log, running)
            facts |= {"correction": correction.id, "partition": place.partition, "offset": place.offset}
    if as_json:
        print_json(facts)
    else:
        _print_correction(facts)


def _print_correction(facts: dict[str, Any]) -> None:
    verb = "Would correct" if facts["dry_run"] else "Corrected"
    out.print(f"{verb} {facts['source']}/{facts['id']} ({facts['action']}).", markup=False)
    for name, change in facts["changes"].items():
        out.print(f"{name}: {_format_value(change['before'])} -> {_format_value(change['after'])}", markup=False)
    out.print(f"before: {_describe(facts['before'])}", markup=False)
    out.print(f"after:  {_describe(facts['after'])}", markup=False)
    if facts["billing_month"]:
        out.print(
            f"{facts['closed_month']}, the month of the event, is closed and stays as it is: the difference is billed "
            f"in {facts['billing_month']}, the first open month."
        )
    if not facts["dry_run"]:
        out.print(f"On the log at {facts['partition']}-{facts['offset']}-0.", markup=False)
    if facts["undo"]:
        out.print(f"To take it back: {facts['undo']}", markup=False)
    if facts["undo_note"]:
        out.print(facts["undo_note"], markup=False)


def _format_value(value: Any) -> str:
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _describe(amounts: dict[str, Any]) -> str:
    from ledger.money import brief

    quantities = ", ".join(f"{name} {quantity:,}" for name, quantity in amounts["quantities"].items())
    absence = f" ({amounts['absence']})" if amounts["absence"] else ""
    is_empty = not quantities and (absence or not amounts["entry"])
    words = [f"nothing in the ledger{absence}"] if is_empty else [quantities] if quantities else []
    for currency in dict.fromkeys(currency for name in _COSTS for currency in amounts[name]):
        costs = (f"{name.removesuffix('_costs')} {brief(amounts[name].get(currency, '0'))}" for name in _COSTS)
        words.append(f"{', '.join(costs)} {currency}")
    if price := _describe_price(amounts):
        words.append(price)
    return "; ".join(words)


def _describe_price(amounts: dict[str, Any]) -> str:
    """Describe what an entry costs beside its lines: nothing, what a gateway's cache saved, or at most so much."""
    from ledger.money import brief
    from tally.cli.event_state import describe_missing_price

    entry = amounts["entry"]
    if entry.get("pricing") == "free":
        return "free" + (f", saved {brief(entry['saved_cost'])} {entry['currency']}" if "saved_cost" in entry else "")
    has_costs = any(amounts[name] for name in _COSTS)
    return describe_missing_price(entry, has_costs) if entry.get("pricing", "priced") != "priced" else ""


def _parse_fields(options: list[str]) -> dict[str, str | None]:
    from ledger.errors import TallyError

    fields: dict[str, str | None] = {}
    for option in options:
        name, separator, value = option.partition("=")
        if not separator or not name:
            raise TallyError(f"--set {option!r}: write FIELD=VALUE, for example tokens.input=1200")
        fields[name] = value or None
    return fields


def _parse_position(text: str, organization: str) -> Any:
    """Parse the position of a conflict. Its partition is that of the organization, and may be left out."""
    from ledger.errors import TallyError
    from ledger.log import parse_position, partition_of

    partition = partition_of(organization)
    position = parse_position(text, partition)
    if position is None:
        raise TallyError(
            f"--accept {text!r}: write the position of the conflicting event, for example {partition}-1801-0; `tally "
            "price explain EVENT` lists the conflicts of an event"
        )
    if position.partition != partition:
        raise TallyError(
            f"--accept {text!r} is in partition {position.partition}, and all events of {organization} are in "
            f"partition {partition}: give the position of one of its conflicts, or --organization"
        )
    return position
