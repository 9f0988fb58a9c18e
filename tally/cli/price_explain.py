"""``tally price explain``: the rule that priced each class of an event, and why."""

from typing import Annotated, Any

import typer

from tally.cli.event_state import (
    describe_missing_price,
    print_head,
    print_silent_corrections,
    print_state,
    print_ways_out,
)
from tally.cli.options import AsJson
from tally.output import make_table, out, print_json
from tally.output import print_printable as show

_STEPS = {
    "provider": "the call's provider",
    "provider_undated": "the call's provider, without the date",
    "maker": "the model's maker",
    "maker_undated": "the model's maker, without the date",
    "any": "any provider, since all have one price",
}
_FIGURES = ("unit_price", "list_cost", "billed_cost")
MAX_DETAILED_LINES, MAX_LINES = 4, 20
"""Lines of a history up to which all are shown in full, and those of a longer one that are shown at all."""


def explain(
    event: Annotated[
        str,
        typer.Argument(help="Id of the event, SOURCE/ID where several sources use the id, or its position (call_key)."),
    ],
    organization: Annotated[
        str | None, typer.Option("--organization", "--org", help="Only an event of this organization.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Explain the price of an event: names, books, rates, fallbacks, its contract, and every correction of it.

    A summary comes first: the entry in force with its list, contracted, effective and billed cost, the model, and the
    book or contract of its rates. Of an event that is held, quarantined, taken back or in conflict it says why, and the
    commands that put it right. `tally tail` shows ids and positions. Each entry is rated again from the log, by the
    books in force at its position, and compared. Of more than 4 lines of history only the entry in force is shown in
    full; --json has all.

    Example: tally price explain msg_01XFD

    Example: tally price explain 3-1801-0

    Exit codes: 0 explained, 1 an entry differs from what the log gives, 2 no event, or several, have this name."""
    from tally.product.events.ways_out import list_ways_out
    from tally.product.price_explanation import explain_event
    from tally.session import opened, settings

    config = settings()
    with opened(config) as log:
        facts = explain_event(log, event, organization)
        facts["ways_out"] = [way_out._asdict() for way_out in list_ways_out(log, config, facts)]
    if as_json:
        print_json(facts)
    else:
        _print_facts(facts)
    if facts["differs"]:
        raise typer.Exit(1)


def _print_facts(facts: dict[str, Any]) -> None:
    from ledger import outcomes

    steps, summary = facts["steps"], facts["summary"]
    print_head(facts)
    _print_summary(summary, len(steps))
    print_ways_out(facts["ways_out"])
    is_long = len(steps) > MAX_DETAILED_LINES
    hidden_lines = max(len(steps) - MAX_LINES, 0) if is_long else 0
    show("")
    if hidden_lines:
        show(f"{hidden_lines:,} earlier lines are left out: `tally price explain … --json` has all.")
    for place, step in enumerate(steps):
        is_own = not is_long and step["outcome"] != outcomes.REVERSAL  # a reversal repeats what it takes back
        is_detailed = is_own or place == summary.get("step") or bool(step.get("differences"))
        if place < hidden_lines and not is_detailed:
            continue
        if place and not is_long:
            show("")
        _print_outcome(step)
        if "pricing" in step and is_detailed:
            _print_details(step)
    print_silent_corrections(facts)
    if is_long:
        show("Only the entry in force is shown in full: `tally price explain … --json` has the details of all lines.")


def _print_details(step: dict[str, Any]) -> None:
    _print_names(step)
    _print_books(step)
    _print_way(step)
    _print_price(step)
    _print_lines(step)
    _print_contract(step)
    _print_rest(step)


def _print_summary(summary: dict[str, Any], line_count: int) -> None:
    """Print the state of the event, the entry in force, its costs, its model and the source of its rates."""
    from ledger import outcomes

    print_state(summary)
    if "step" not in summary:
        return
    if summary["state"] != outcomes.QUARANTINED:
        history = "" if line_count == 1 else f", of {line_count:,} lines of history"
        show(f"  in force   {summary['outcome']} at {summary['position']}, {summary['since']}{history}")
    show(f"  model      {_describe_model(summary)}")
    show(f"  cost       {_describe_costs(summary)}")
    if summary.get("payer") == "customer":
        show("             the customer's own key paid: list and contracted cost are notional")
    if sources := _describe_sources(summary):
        show(f"  rates      {sources}")
    if "billing_month" in summary:
        show(f"  billed in  {summary['billing_month']}, since the month of the call is closed")


def _describe_model(summary: dict[str, Any]) -> str:
    model = summary.get("model_resolved") or summary.get("model") or "no model"
    request = "" if summary.get("model") in (None, model) else f", asked for as {summary['model']}"
    return f"{model}{request}, provider {summary.get('provider', 'not named')}"


def _describe_costs(summary: dict[str, Any]) -> str:
    from ledger.money import COSTS, brief

    currency = summary.get("currency", "")
    costs = ", ".join(f"{name.removesuffix('_cost')} {summary[name]}" for name in COSTS if name in summary)
    if summary["pricing"] == "free":
        return "nothing" + (f"; saved {brief(summary['saved_cost'])} {currency}" if "saved_cost" in summary else "")
    words = [f"{costs} {currency}"] if costs else []
    if summary["pricing"] != "priced":
        words.append(describe_missing_price(summary, bool(costs)))
    return "; ".join(words)


def _describe_sources(summary: dict[str, Any]) -> str:
    words = [f"contract {summary['contract']}"] if "contract" in summary else []
    if "price_id" in summary:
        origin = f" ({summary['book_origin']})" if "book_origin" in summary else ""
        words.append(f"price book {summary.get('book', 'unknown')}{origin}, price {summary['price_id']}")
    return "; ".join(words)


def _print_outcome(step: dict[str, Any]) -> None:
    from tally.product.price_summary import sum_costs

    reason = f" ({step['reason']})" if "reason" in step else ""
    named = f", names {step['names']}" if "names" in step else ""
    detail = f": {step['detail']}" if "detail" in step else ""
    cost = sum_costs(step, "billed_cost")
    billed = "" if cost is None else f", billed {cost} {step['currency']}"
    show(f"{step['position']}  {step['outcome']}{reason}{detail}{named}, accepted {step['accepted_at']}{billed}")


def _print_names(step: dict[str, Any]) -> None:
    written = ", ".join(f"{name} {value}" for name, value in step["event"].items())
    show(f"  event      {written or 'names no provider and no model'}, at {step['event_time']}")


def _print_books(step: dict[str, Any]) -> None:
    for number, book in enumerate(step.get("books", ())):
        answer = book["price_id"] or f"none: {book.get('reason', 'nothing to price')}"
        if book["price_id"] and "reason" in book:
            answer += f", {book['reason']}"
        show(f"  {'searched' if not number else '':9}  {book['name']} ({book['document'][:12]}): {answer}")
    if step.get("books") == []:
        show("  searched   no price book was in force")


def _print_way(step: dict[str, Any]) -> None:
    """Print how a name found its price: an alias, the step of rule R6, and the spelling that fits."""
    way = step.get("way")
    if way is None:
        return
    alias = way.get("alias")
    if alias is not None:
        show(f"  alias      prices the call as {alias['provider']}/{alias['model']}: `tally model list`")
    spelling = "" if way["spelling"] == way["name"] else f", read as {way['spelling']}"
    show(
        f"  found by   step {way['step']} of rule R6, {_STEPS[way['step_name']]}: {way['name']}{spelling}, of provider "
        f"{way['seller']}"
    )


def _print_price(step: dict[str, Any]) -> None:
    price = step.get("price")
    if price is None:
        return
    show(f"  price      {step['price_id']}, document {step['price_document']}")
    if "model" in price:
        clause = ", ".join(f"{kind} {value}" for kind, value in price["match"].items())
        show(f"  matched    provider {price['provider']}, model {price['model']} by {clause}")
        validity = _describe_validity(price, "without a start")
        show(f"  valid      {validity}; price {price['place']} of {price['prices']}, counted from 0")
    for variant in price.get("variants", ()):
        show(f"  variant    {variant['place']}, {_describe_variant(variant)}")
    if "tier_basis" in step:
        show(f"  tier       chosen by: {step['tier_basis']}")


def _describe_validity(facts: dict[str, Any], always: str) -> str:
    words = [f"from {facts['since']}" if "since" in facts else always]
    words += [f"until {facts['until']}"] if "until" in facts else []
    words += [f"daily {facts['daily']}"] if "daily" in facts else []
    words += [f"on {', '.join(facts['weekdays'])}"] if "weekdays" in facts else []
    return ", ".join(filter(None, words))


def _describe_variant(variant: dict[str, Any]) -> str:
    condition = ", ".join(f"{name} {value}" for name, value in variant["when"].items())
    effect = (
        f"times {variant['multiplier']}" if "multiplier" in variant else f"rates of {', '.join(variant['classes'])}"
    )
    validity = _describe_validity(variant, "")
    return f"{condition}: {effect}{', valid ' + validity if validity else ''}"


def _print_lines(step: dict[str, Any]) -> None:
    if not step["lines"]:
        return
    rates = step.get("price", {}).get("rates", {})
    fields = _FIGURES[:2] if step.get("contract") else _FIGURES
    table = make_table("class", ">quantity", *(f">{field.replace('_', ' ')}" for field in fields), "rate")
    for line in step["lines"]:
        name = line["class"]
        figures = ["none" if line[field] is None else line[field] for field in fields]
        table.add_row(name, f"{line['quantity']:,}", *figures, _describe_rate(line, rates.get(name, {})))
    out.print(table)


def _print_contract(step: dict[str, Any]) -> None:
    """Print the contract of a call, its four costs, and why they differ."""
    from ledger.money import COSTS, brief

    contract = step.get("contract")
    if not contract:
        return
    show(f"  contract   {contract['name']}, document {contract['document']}; terms are counted from 0")
    table = make_table("class", ">list cost", ">contracted", ">effective", ">billed", "why")
    for line in step["lines"]:
        figures = ["none" if line[field] is None else brief(line[field]) for field in COSTS]
        table.add_row(line["class"], *figures, _describe_terms(contract["classes"].get(line["class"], {}), line))
    out.print(table)


def _describe_terms(facts: dict[str, Any], line: dict[str, Any]) -> str:
    if line["contracted_cost"] is None:
        return "no rate"
    words = ["at list price"]
    if "discount" in facts:
        words = [f"term {facts['term']}: {facts['discount']} % off"]
    elif "rate" in facts:
        words = [f"term {facts['term']}: {facts['rate']} for {facts['per']:,}"]
    coverages = [f"{part['name']}, {part['covered']} of {part['of']}" for part in facts.get("commitments", ())]
    return "; ".join([*words, *(["covered by " + " or ".join(coverages)] if coverages else [])])


def _describe_rate(line: dict[str, Any], rate: dict[str, Any]) -> str:
    if line["unit_price"] is None and line["contracted_cost"] is not None:
        return "no list price"
    if line["unit_price"] is None:
        bound = line.get("greatest_cost")
        return f"no rate; at most {bound}" if bound else "no rate, no bound"
    words = [f"variant {rate['variant']}"] if "variant" in rate else []
    if "tier_above" in rate:
        above = rate["tier_above"]
        words.append(f"tier above {above:,}" if above else "base tier")
    if "falls_back_on" in rate:
        words.append(f"falls back on {rate['falls_back_on']}")
    if "multiplier" in rate:
        words.append(f"times {rate['multiplier']}")
    return ", ".join(words)


def _print_rest(step: dict[str, Any]) -> None:
    currency = step.get("currency", "")
    reason = f": {step['unpriced_reason']}" if "unpriced_reason" in step else ""
    show(f"  pricing    {step['pricing']}{reason}")
    if "answered_by" in step:
        saved = f"saved {step['saved_cost']} {currency}" if "saved_cost" in step else "what it saved is not known"
        show(f"  cache hit  answered by the gateway's cache, so it costs nothing: {saved}")
    if step["pricing"] not in ("priced", "free"):
        bound = step.get("greatest_unpriced_cost")
        show(f"  unpriced   {'no upper bound' if bound is None else f'at most {bound} {currency} at list price'}")
    if "unknown_tokens" in step:
        show(f"  unknown    {step['unknown_tokens']:,} tokens stand in no line")
    if step.get("differences"):
        names = ", ".join(step["differences"])
        show(f"  DIFFERS    the log gives another {names}: run `tally verify`, then `tally rebuild`")
