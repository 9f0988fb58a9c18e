"""The identity of a budget, as links carry it; links to the call tree and the session of a call."""

from collections.abc import Mapping
from typing import NamedTuple

import streamlit as st

from dashboards.components.html import Html, link
from dashboards.sources.warehouse import Row


class BudgetIdentity(NamedTuple):
    """A budget: its scope and its window in seconds."""

    organization: str
    dimension: str
    scope_value: str
    window_s: int

    def to_parameters(self) -> dict[str, object]:
        """Return the parameters of a link to the budget."""
        return {
            "dimension": self.dimension,
            "scope": self.scope_value,
            "window": self.window_s,
            "organization": self.organization,
        }


def read_budget_identity(row: Row) -> BudgetIdentity:
    """Return the budget of a row."""
    return BudgetIdentity(row["organization"], row["dimension"], row["scope_value"], int(row["window_s"]))


def draw_tree_links(call: Mapping[str, object]) -> None:
    """Draw links to the call tree of a call, and to its session where it has one."""
    identity = {"source": call["event_source"], "id": call["event_id"], "organization": call["organization"]}
    links = [link("Call tree of this call", "trees", identity)]
    if call["session"]:
        links.append(link_session(str(call["session"]), str(call["organization"]), "Whole session"))
    st.html(f'<div class="tally">{" · ".join(links)}</div>')


def draw_trees_link(period: str) -> None:
    """Draw a link to the most expensive call trees and sessions of a period; of all time for a range of days."""
    parameters = {"period": "all" if period == "range" else period}
    st.html(f'<div class="tally">{link("Most expensive call trees and sessions", "trees", parameters)}</div>')


def link_session(session: str, organization: str, text: str = "") -> Html:
    """Return a link to a session: its cost, its timeline and its steps."""
    return link(text or session, "trees", {"session": session, "organization": organization})
