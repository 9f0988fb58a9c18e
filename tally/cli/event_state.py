"""Print the state of an event, its corrections, and what puts it right, for ``tally price explain``."""

from collections.abc import Mapping, Sequence
from typing import Any

from tally.output import print_printable

Facts = Mapping[str, Any]


def print_head(facts: Facts) -> None:
    """Print the event's name and, where it was named by a position, what stands there."""
    if facts["source"] is None:
        print_printable(f"{facts['named']['position']} of {facts['organization']}: a line that is no event")
    else:
        print_printable(f"{facts['source']}/{facts['id']} of {facts['organization']}")
    if "corrects" in facts:
        _print_corrected(facts)
    named = facts.get("named")
    if named is not None and named["outcome"] in _NAMED:
        print_printable(f"  {named['position']:9}  {_describe_named(named)}")


def _print_corrected(facts: Facts) -> None:
    """Print the event that a correction names, and what the correction changed of it."""
    correction = facts.get("correction")
    is_effective = correction is None or correction["is_effective"]
    way = f": `tally price explain {facts['corrects']}` has its price" if is_effective else ""
    print_printable(f"  corrects   {facts['corrects']}{way}")
    if correction is not None:
        print_printable(f"  effect     {correction['action']}, {correction['effect']}")


_NAMED = {
    "duplicate": "repeats {names}, which has the same content: one call, counted once. Another call needs another id",
    "superseded": "has a lower revision than {names}, so it does not count. To replace that, send a greater revision",
    "conflict": "has the identity of {names} and other content, so it does not count",
}


def _describe_named(named: Facts) -> str:
    sentence = _NAMED.get(named.get("reason", ""), _NAMED[named["outcome"]])
    return f"{named['outcome']}: {sentence.format(names=named['names'])}"


def print_state(summary: Facts) -> None:
    """Print why an event does not count, or counts without a price; nothing of one that has an entry in force."""
    state, kind, place = summary["state"], summary["kind"], summary.get("position")
    if state == "held":
        applies = "counted    " if kind == "inference" else "applies    "
        print_printable(f"  state      held at {place}: its time is {summary['detail']}, so it is in no sum yet")
        prices = ", by the prices in force then" if kind == "inference" else ""
        print_printable(f"  {applies}as soon as the log's time reaches {summary['due']}{prices}")
    elif state == "quarantined":
        reason = ": ".join(filter(None, (summary.get("reason"), summary.get("detail"))))
        extent = "in no sum but that of unknown spend" if "step" in summary else "in no sum"
        print_printable(f"  state      quarantined at {place}, {extent}: {reason}")
    elif state == "reversed":
        print_printable(f"  state      taken back at {place}{_describe_cause(summary)}, so it is in no sum")
        if "due" in summary:
            print_printable(f"             It was held: from {summary['due']} on it falls due, and has no entry then")
    elif "step" not in summary:
        print_printable(f"  state      {_describe_absence(state, kind)}")


def _describe_absence(state: str, kind: str) -> str:
    if kind == "inference":
        return f"{state}, and has no entry: the folds failed on it, which `tally verify` reports"
    return f"{state}: an event of kind {kind} has no price, and no entry"


def _describe_cause(summary: Facts) -> str:
    if "correction" not in summary:
        return ""
    held = " while it was held" if "due" in summary else ""
    return f"{held} by the correction {summary['correction']} ({summary['reason']})"


def describe_missing_price(entry: Facts, has_costs: bool) -> str:
    """Describe the part of an entry that has no price: which classes, what it may cost at most, and why. Of an entry
    that has costs too, the bound is what may come on top."""
    from ledger.money import brief

    bound, more = entry.get("greatest_unpriced_cost"), " more" if has_costs else ""
    extent = "without an upper bound"
    if bound is not None:
        extent = f"at most {brief(bound)} {entry.get('currency', '')}{more} at list price"
    classes = f" ({', '.join(entry['unpriced_classes'])})" if "unpriced_classes" in entry else ""
    return f"{entry['pricing'].replace('_', ' ')}{classes}, {extent}: {entry.get('unpriced_reason')}"


def print_ways_out(ways_out: Sequence[Facts]) -> None:
    """Print the commands that put an event right, a line each."""
    for number, way_out in enumerate(ways_out):
        title = "way out" if not number else ""
        command = "" if way_out["command"] is None else f"{way_out['command']}   # "
        print_printable(f"  {title:9}  {command}{way_out['effect']}")


def print_silent_corrections(facts: Facts) -> None:
    """Print the corrections of an event that wrote no line of its history: those that changed nothing, wait until they
    fall due, or took it back while it was held."""
    written = {step["position"] for step in facts["steps"]}
    silent = [correction for correction in facts["corrections"] if correction["applied_at"] not in written]
    if silent:
        print_printable("")
    for correction in silent:
        print_printable(
            f"{correction['position']}  correction {correction['source']}/{correction['id']} ({correction['action']}, "
            f"{correction['reason']}): {correction['effect']}"
        )
