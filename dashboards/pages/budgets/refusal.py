"""A refusal, explained: what was asked, which grant and limit decided, what was left, and what helps."""

from shlex import quote

import streamlit as st

from dashboards.components.html import Html, draw_facts, draw_heading, draw_note, format_time, link, mono
from dashboards.pages.budgets import queries, tables
from dashboards.sources.warehouse import Row

HOLDERS = {
    "reserved": "calls under way hold the rest",
    "floor": "it keeps the rest for grants with a floor",
}
"""Who has what a refused call would need, where it is not used."""
_OF_ROOM = ("limit", *HOLDERS)
"""Reasons by which the room of a limit was asked; by others it refuses whatever it has left."""
_OVER = "A grant that is over stays so, with all below it: another one is needed, or a later end of this one."
REMEDIES = {
    "reserved": "Calls under way hold what is left. Ask again when they have settled, or lower `max_tokens`.",
    "floor": "Lower `max_tokens` or choose a cheaper model, or have a floor lowered, or more of one lent.",
    "unpriced": "Send `input_tokens`, `max_tokens`, and `provider` and `model` as the price book names them.",
    "unknown usage": "Wait until the call of unknown usage has left the window, or correct its event.",
    "currency": "Have a limit set in the currency of the price, or prices adopted in that of the limit.",
    "outside": "Choose a call that the grant allows, or have its lists extended.",
    "paused": "Calls may be made again once the grant, or the one above it that is paused, is resumed.",
    "revoked": _OVER,
    "expired": _OVER,
    "not started": "Ask again when the grant has started.",
    "not held": "Ask by a grant that a scope of the ask holds, or name none.",
    "duplicate": "Ask with another id.",
    "unmeasured": "Ask for an amount of what the limit counts.",
    "no grant": "Calls of these scopes need no lease and no ask.",
}
"""What helps against a refusal of each reason but ``limit``."""


def show(key: str) -> None:
    """Show a refusal by its key."""
    row = queries.find_refusal(key)
    if row is None:
        st.info("No such refusal. It may not have arrived yet, or the link is incomplete.")
        st.html(f'<div class="tally">{link("All refusals", "budgets", {})}</div>')
        return
    draw_note(f"Why was this {row['asked_for']} refused?")
    draw_heading(explain(row))
    limit = tables.read_limit_key(row["limit_key"]) if row["limit_key"] else None
    organization, grant_name = row["organization"], row["grant_name"]
    draw_facts([
        ("Asked", tables.describe_ask(row)),
        ("At, UTC", format_time(row["accepted_at"])),
        ("Provider", row["provider"] or None),
        ("Tokens", f"{row['input_tokens']:,} in, at most {row['max_tokens']:,} out" if row["max_tokens"] else None),
        ("Answer", row["answer"]),
        ("Grant", tables.link_grant(organization, grant_name) if grant_name else None),
        ("Limit", None if limit is None else tables.describe_limit_key(limit)),
        ("Needed, at most", _describe_amount(limit, row["needed_amount"])),
        ("Left then", _describe_amount(limit, row["left_amount"]) if row["reason"] in _OF_ROOM else None),
        ("Refills", _describe_refill(row)),
        ("Retry", "asking again can help" if row["is_retryable"] else "asking again does not help"),
        ("Who can raise it", row["granted_by"] or ("who gave the grant" if grant_name else None)),
        ("Ask", mono(row["ask_id"])),
        ("From", row["event_source"]),
        ("Organization", organization),
    ])  # fmt: skip
    st.subheader("What helps", anchor=False)
    for sentence in list_remedies(row):
        st.write(sentence)
    st.code("\n".join(list_commands(row)), language="bash")
    st.html(f'<div class="tally">{link("All refusals", "budgets", {})}</div>')


def explain(row: Row) -> str:
    """Explain a refusal in a sentence."""
    limit = tables.read_limit_key(row["limit_key"]) if row["limit_key"] else None
    if limit is None or row["reason"] not in _OF_ROOM or row["needed_amount"] is None:
        subject = f"Grant {row['grant_name']}: " if row["grant_name"] else ""
        return f"{subject}{tables.explain_reason(row)}."
    needed_text = tables.format_amount(limit, row["needed_amount"])
    left_text = tables.format_amount(limit, row["left_amount"])
    holder = HOLDERS.get(row["reason"], "the rest is used")
    window = tables.describe_window(limit["window_name"])
    return f"It may take {needed_text}, and {row['grant_name']} has {left_text} left {window}: {holder}."


def list_remedies(row: Row) -> list[str]:
    """List what helps against a refusal, a sentence each."""
    if row["reason"] == "limit":
        refills_at = row["refills_at"]
        wait = f"Time makes room at {refills_at:%Y-%m-%d %H:%M:%S} UTC if nothing more is used. " if refills_at else ""
        return [f"{wait}Lower `max_tokens` or choose a cheaper model, or have the limit raised."]
    return [REMEDIES[row["reason"]]]


def list_commands(row: Row) -> list[str]:
    """List the commands that explain a refusal and that help."""
    commands = [f"tally grant why {quote(row['ask_id'])}"]
    name, needed_amount = row["grant_name"], row["needed_amount"]
    if not name:
        return commands
    commands.append(f"tally grant show {quote(name)}")
    if row["limit_key"] and needed_amount is not None and row["reason"] in ("limit", "reserved"):
        commands.append(tables.build_extend_command(name, row["limit_key"]))
    elif row["reason"] == "paused":
        commands.append(f"tally grant extend {quote(name)} --resume")
    elif row["reason"] == "expired":
        commands.append(f"tally grant extend {quote(name)} --expires DATE")
    return commands


def _describe_amount(limit: Row | None, amount: object) -> Html | None:
    return None if limit is None or amount is None else tables.build_amount_cell(limit | {"amount": amount}, "amount")


def _describe_refill(row: Row) -> str | None:
    if row["refills_at"] is not None:
        return f"at {row['refills_at']:%Y-%m-%d %H:%M:%S} UTC there is room, if nothing more is used"
    return None if not row["limit_key"] else "time alone makes no room for it"
