"""``tally import --dry-run``: what an import would do, as JSON and as text."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.markup import escape

from ingest.files.importer import Options, Summary
from ledger.log import Log
from ledger.money import brief, text
from ledger.outcomes import OUTCOMES
from ledger.settings import Settings
from tally.cli.import_summary import print_omissions, print_refusals, summarize
from tally.output import err, make_table, out, print_json, progress_bar
from tally.product.catch_up import make_follower
from tally.product.dry_run import CLAIM_TOLERANCE_PERCENT, ClaimTotals, ModelTotals, RatedEvent, Report, run_dry
from tally.session import opened

_SHOWN_FIRST = ("model", "tokens", "left_out", "adapter", "adapter_version", "provider_usage", "reported_tokens")
"""Fields that stand in the first line of an event, or not at all."""


def print_dry_run(settings: Settings, files: Sequence[Path], options: Options, as_json: bool) -> None:
    """Read and rate the files, and print the report."""
    with _log_of_home(settings) as log, progress_bar() as bar:
        summary, report = run_dry(log, settings, files, options, make_follower(bar, "reading", ()))
    if as_json:
        print_json(summarize_dry_run(summary, report))
    else:
        _print_report(summary, report)
    if summary.interrupted is not None:
        raise summary.interrupted


@contextmanager
def _log_of_home(settings: Settings) -> Iterator[Log | None]:
    """Open the log for its price books; None where the home has none yet, and none is made."""
    if settings.log is None and not settings.has_own_kafka and not (settings.home / "log").is_dir():
        yield None
        return
    with opened(settings) as log:
        yield log


def summarize_dry_run(summary: Summary, report: Report) -> dict[str, Any]:
    """Return the report for ``--json``. Amounts are exact decimals."""
    facts = summarize(summary, None)
    for name in ("appended", "conflicts"):
        facts.pop(name, None)
    return {
        "dry_run": True,
        **facts,
        **{outcome: report.outcomes[outcome] for outcome in OUTCOMES},
        "reasons": dict(report.reasons),
        "first_events": [_render_event(event) for event in report.first_events],
        "models": [_render_model(model, totals) for model, totals in report.models.items()],
        "claims": [_render_claims(currency, totals) for currency, totals in report.claims.items()],
    }


def _render_event(rated: RatedEvent) -> dict[str, Any]:
    return {
        "event": rated.event,
        "outcome": rated.outcome,
        "reason": rated.reason,
        "pricing": rated.pricing,
        "cost": None if rated.cost is None else brief(text(rated.cost)),
        "billed_cost": None if rated.billed is None else brief(text(rated.billed)),
        "currency": rated.currency,
    }


def _render_model(model: str, totals: ModelTotals) -> dict[str, Any]:
    return {
        "model": model,
        "events": totals.events,
        "calls": totals.calls,
        "quantities": dict(totals.quantities),
        "costs": _render_costs(totals.costs),
        "billed_costs": _render_costs(totals.billed_costs),
        "pricing": dict(totals.pricing),
        "unpriced": dict(totals.unpriced),
        "unknown_tokens": totals.unknown_tokens,
        "greatest_unpriced_costs": _render_costs(totals.greatest_unpriced_costs),
    }


def _render_claims(currency: str, totals: ClaimTotals) -> dict[str, Any]:
    return {
        "currency": currency,
        "compared": totals.compared,
        "differing": totals.differing,
        "tolerance_percent": CLAIM_TOLERANCE_PERCENT,
        "claimed": brief(text(totals.claimed)),
        "cost": brief(text(totals.cost)),
        "largest_difference": brief(text(totals.largest)),
        "largest_id": totals.largest_id,
    }


def _render_costs(costs: Counter[str]) -> dict[str, str]:
    return {currency: brief(text(cost)) for currency, cost in costs.items()}


def _print_report(summary: Summary, report: Report) -> None:
    print_refusals(summary)
    out.print("Dry run: nothing was appended.")
    for rated in report.first_events:
        _print_event(rated)
    if len(report.first_events) < summary.accepted:
        out.print(f"… and {summary.accepted - len(report.first_events):,} more events")
    if report.models:
        _print_models(report)
    out.print(f"received {summary.received:,} = accepted {summary.accepted:,} + rejected {summary.rejected:,}")
    terms = " + ".join(f"{outcome} {count:,}" for outcome, count in report.outcomes.items())
    out.print(f"accepted {summary.accepted:,} = {terms or 'counted 0'}; the log itself is not searched for duplicates")
    for reason, count in report.reasons.most_common():
        err.print(f"quarantined: {count:,} with the reason {reason}", markup=False)
    for currency, totals in report.claims.items():
        _print_claims(currency, totals)
    print_omissions(summary)


def _print_event(rated: RatedEvent) -> None:
    event, data = rated.event, rated.event["data"]
    tokens = ", ".join(f"{name} {count:,}" for name, count in (data.get("tokens") or {}).items())
    cost = "no cost" if rated.cost is None else f"{brief(text(rated.cost))} {rated.currency or ''}".rstrip()
    if rated.billed is not None and rated.billed != rated.cost:
        cost += f" ({brief(text(rated.billed))} billed)"
    state = rated.outcome if rated.outcome != "counted" else rated.pricing or rated.outcome
    reason = f" ({rated.reason})" if rated.reason else ""
    out.print(
        f"{event['time']}  {event['id']}  {data.get('model') or '(no model)'}  {tokens or 'no tokens'}  {cost}  "
        f"{state}{reason}",
        markup=False,
    )
    details = {name: value for name, value in data.items() if name not in _SHOWN_FIRST}
    if details:
        out.print("    " + "  ".join(f"{name}={value}" for name, value in details.items()), markup=False)


def _print_models(report: Report) -> None:
    has_other_bill = any(totals.billed_costs != totals.costs for totals in report.models.values())
    titles = (">contracted cost", ">billed cost") if has_other_bill else (">cost",)
    table = make_table("model", ">events", ">calls", "quantities", *titles, "pricing")
    for model, totals in report.models.items():
        quantities = ", ".join(f"{name} {count:,}" for name, count in totals.quantities.items())
        costs = [_describe_costs(totals.costs)] + [_describe_costs(totals.billed_costs, totals.costs)] * has_other_bill
        pricing = ", ".join(f"{state} {count:,}" for state, count in totals.pricing.items())
        if totals.unpriced:
            classes = ", ".join(f"{name} {count:,}" for name, count in totals.unpriced.items())
            pricing += f" (no price: {classes})"
        if totals.unknown_tokens:
            pricing += f" (of unknown class: {totals.unknown_tokens:,})"
        for currency, cost in _render_costs(+totals.greatest_unpriced_costs).items():
            pricing += f" (up to {cost} {currency} more)"
        table.add_row(escape(model), f"{totals.events:,}", f"{totals.calls:,}", quantities, *costs, pricing)
    out.print(table, markup=False)


def _describe_costs(costs: Counter[str], contracted_costs: Counter[str] | None = None) -> str:
    """Write costs by currency. Billed costs of zero stand where there is a contracted cost."""
    amounts = costs if contracted_costs is None else {name: costs[name] for name in +contracted_costs}
    return (
        ", ".join(f"{brief(text(cost))} {name}" for name, cost in amounts.items() if cost or contracted_costs)
        or "unknown"
    )


def _print_claims(currency: str, totals: ClaimTotals) -> None:
    if not totals.differing:
        out.print(f"claimed costs: {totals.compared:,} compared, none differs by more than {CLAIM_TOLERANCE_PERCENT} %")
        return
    claimed, cost = brief(text(totals.claimed)), brief(text(totals.cost))
    err.print(
        f"warning: {totals.differing:,} of {totals.compared:,} claimed costs differ from the cost by more than "
        f"{CLAIM_TOLERANCE_PERCENT} %: {claimed} {currency} is claimed, {cost} {currency} is the cost; the largest "
        f"difference is {brief(text(totals.largest))} {currency}, of the event {totals.largest_id}",
        markup=False,
    )
