"""One reading of a call tree or a session: its sums, its steps, and what follows from both."""

from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from dashboards.pages.trees import queries
from dashboards.pages.trees.outline import Amounts, Outline, Step, Totals
from dashboards.pages.trees.queries import Scope
from dashboards.sources.warehouse import Row


class Reading(NamedTuple):
    """A call tree or a session, as the page shows it."""

    scope: Scope
    counts: Row  # counts and times of everything
    sums: list[Row]  # by currency
    kinds: list[Row]  # by currency, agent, tool, operation and model
    outline: Outline
    has_calls_elsewhere: bool  # of a session: a step caused calls of other sessions

    @property
    def currency(self) -> str:
        """Return the currency of most calls, in which steps are compared."""
        return choose_currency(self.sums)

    @property
    def cost(self) -> Amounts:
        """Return its billed cost."""
        return self.sum_amounts("cost")

    @property
    def duration_ms(self) -> int:
        """Return the milliseconds from the first start to the last end."""
        duration: timedelta = self.counts["ended_at"] - self.counts["started_at"]
        return duration // timedelta(milliseconds=1)

    @property
    def root(self) -> Step | None:
        """Return the root of a call tree; None of a session."""
        return self.outline.steps.get(self.scope.tree_key)

    @property
    def organization(self) -> str:
        """Return its organization, also where the link names none."""
        return next((step.organization for step in self.outline.steps.values()), self.scope.organization)

    @property
    def totals(self) -> Totals:
        """Return the sums that the lines of its outline add up to."""
        return Totals(int(self.counts["call_count"]), self.cost)

    @property
    def is_long(self) -> bool:
        """Tell whether its figures may be half a minute old."""
        return queries.is_long([self.counts])

    @property
    def unread_steps(self) -> int:
        """Count the steps beyond those that were read."""
        return int(self.counts["step_count"]) - len(self.outline.steps)

    def sum_amounts(self, name: str) -> dict[str, Decimal]:
        """Return one of its sums by currency, without those that are not known."""
        return {row["currency"]: row[name] for row in self.sums if row[name] is not None and row["currency"]}


def read(scope: Scope) -> Reading | None:
    """Read a call tree or a session; None where it has no calls."""
    rows = queries.sum_steps(scope)
    counts = next((row for row in rows if row["is_whole"]), None)
    if counts is None:
        return None
    sums = [row for row in rows if not row["is_whole"] and not row["is_kind"]]
    currency = choose_currency(sums)
    outline = Outline(queries.list_steps(scope, currency, rows), currency)
    kinds = sorted((row for row in rows if row["is_kind"]), key=lambda row: row["currency"] != currency)
    if not scope.session:
        return Reading(scope, counts, sums, kinds, outline, has_calls_elsewhere=False)
    session_outline = outline.sum_below()
    is_complete = len(outline.steps) == counts["step_count"]
    has_calls_elsewhere = is_complete and any(
        step.below_calls > session_outline.steps[key].below_calls for key, step in outline.steps.items()
    )
    return Reading(scope, counts, sums, kinds, session_outline, has_calls_elsewhere)


def choose_currency(sums: list[Row]) -> str:
    """Return the currency of most calls; empty where no call has one."""
    priced_rows = [row for row in sums if row["currency"]]
    return (
        str(max(priced_rows, key=lambda row: (row["call_count"], row["currency"]))["currency"]) if priced_rows else ""
    )
