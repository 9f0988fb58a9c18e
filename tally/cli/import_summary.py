"""The summary of an import, as JSON and as text."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from ingest.files.importer import Outcomes, Summary
from ledger.outcomes import OUTCOMES
from ledger.settings import Settings
from tally.exit import Failure
from tally.output import err, out
from tally.processes.join import needing
from tally.processes.service import STREAMS, Child, Joined

MAX_SHOWN_NAMES = 12

Running = Sequence[Child | Joined]


@contextmanager
def folding(settings: Settings) -> Iterator[tuple[Running, Failure | None]]:
    """Keep the folds running, or give the failure that prevents it: derived files may be damaged, and events are
    recorded all the same."""
    with ExitStack() as stack:
        running: Running = ()
        failure = None
        try:
            running = stack.enter_context(needing(settings, [STREAMS]))
        except Failure as error:
            if error.exit_code != 2:
                raise
            failure = Failure(f"{error}\nAccepted events stay on the log, and are folded once this is repaired.", 2)
        yield running, failure


def summarize(summary: Summary, outcomes: Outcomes | None) -> dict[str, Any]:
    """Return the summary for ``--json``. Outcomes are null where the import was interrupted."""
    return {
        "received": summary.received,
        "accepted": summary.accepted,
        "rejected": summary.rejected,
        **{kind: getattr(outcomes, kind) if outcomes else None for kind in OUTCOMES},
        "reasons": dict(outcomes.reasons) if outcomes else {},
        "unpriced": [
            {"reason": reason, "events": count, "models": outcomes.unpriced_models.get(reason, [])}
            for reason, count in outcomes.unpriced.most_common()
        ]
        if outcomes
        else [],
        "files": [
            {
                "path": file.path,
                "format": file.format,
                "source": file.source,
                "received": file.received,
                "accepted": file.accepted,
                "rejected": file.rejected,
                "skipped": file.skipped,
                "unknown_usage": file.unknown_usage,
                "left_out": dict(file.left_out),
            }
            for file in summary.files
        ],
        "refused": [
            {"path": path, "line": line, "field": field, "reason": reason}
            for path, line, field, reason in summary.refusals
        ],
        "conflicts": [conflict._asdict() for conflict in outcomes.conflicts] if outcomes else [],
        "warnings": summary.warnings,
        "removed": [{"field": field, "type": kind, "values": n} for (field, kind), n in summary.removed.items()],
        "appended": [place._asdict() for place in summary.appended],
        "skipped_files": [str(path) for path in summary.skipped_files],
        "interrupted": summary.interrupted is not None,
    }


_LIST_HELD = (
    "tally sql \"select event_source, event_id, occurred_at from analytics.fct_outcomes where outcome = 'held'\""
)


def print_summary(summary: Summary, outcomes: Outcomes | None) -> None:
    """Print the figures on stdout, rejected lines and reasons on stderr."""
    print_refusals(summary)
    out.print(f"received {summary.received:,} = accepted {summary.accepted:,} + rejected {summary.rejected:,}")
    if outcomes:
        terms = " + ".join(f"{kind} {getattr(outcomes, kind):,}" for kind in OUTCOMES)
        out.print(f"accepted {summary.accepted:,} = {terms}")
        for reason, count in outcomes.reasons.most_common():
            err.print(f"quarantined: {count:,} with the reason {reason}", markup=False)
        if outcomes.held:
            err.print(
                f"held: {outcomes.held:,} with a time ahead of the log's; each is counted when that time comes, or by "
                f"`tally correct EVENT --release`. List them: {_LIST_HELD}",
                markup=False,
            )
        for reason, count in outcomes.unpriced.most_common():
            models = ", ".join(map(repr, outcomes.unpriced_models.get(reason, ())))
            names = f", such as {models}" if models else ""
            err.print(
                f"not fully priced: {count:,} with the reason {reason!r}{names}; the ways out are in docs/prices.md",
                markup=False,
            )
        if hint := outcomes.hint():
            err.print(hint, markup=False)
    elif summary.interrupted is not None:
        err.print("interrupted: accepted events stay on the log; import again to add the rest")
    print_omissions(summary)


def print_refusals(summary: Summary) -> None:
    """Print the first rejected lines with their reasons on stderr, and how many there are beyond them."""
    for path, line, field, reason in summary.refusals:
        err.print(f"{path}, line {line}: {field + ' ' if field else ''}{reason}", markup=False)
    if summary.rejected > len(summary.refusals):
        err.print(f"… and {summary.rejected - len(summary.refusals):,} more rejected lines")


def print_omissions(summary: Summary) -> None:
    """Print on stderr what the events lack: fields and values that were left out, and columns that are empty."""
    _print_sources(summary)
    for (field, kind), count in summary.removed.most_common():
        err.print(f"left out: {count:,} values ({kind}) of the unknown field {field}", markup=False)
    for warning in summary.warnings:
        err.print(f"warning: {warning}", markup=False)


def _print_sources(summary: Summary) -> None:
    """Print, for each source, what of its files holds no call, was left out, or could not be read."""
    for source in dict.fromkeys(file.source for file in summary.files):
        files = [file for file in summary.files if file.source == source]
        if len(summary.files) > 1:
            accepted, rejected = (sum(getattr(file, name) for file in files) for name in ("accepted", "rejected"))
            out.print(f"{source or files[0].format}: accepted {accepted:,}, rejected {rejected:,}", markup=False)
        if skipped := sum(file.skipped for file in files):
            err.print(f"{source}: rows without a call of their own, or that repeat one: {skipped:,}", markup=False)
        if unknown := sum(file.unknown_usage for file in files):
            err.print(
                f"{source}: calls whose usage could not be read as token classes, so that it is unknown: {unknown:,}",
                markup=False,
            )
        left_out = sum((file.left_out for file in files), Counter[str]())
        if left_out:
            names = ", ".join(f"{name} ({count:,})" for name, count in left_out.most_common(MAX_SHOWN_NAMES))
            err.print(f"{source}: fields left out: {names}", markup=False)
    if summary.skipped_files:
        err.print(f"files of no known format, which were not read: {len(summary.skipped_files):,}", markup=False)
