"""The identity of a budget, as links carry it."""

from typing import NamedTuple

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
