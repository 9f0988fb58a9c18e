"""Build links to pages, and the identity of a row they point to."""

from typing import NamedTuple

from dashboards.sources.warehouse import Row


class BudgetIdentity(NamedTuple):
    """Which budget: whose spend, over what."""

    organization: str
    dimension: str
    scope_value: str
    window_s: int

    def to_parameters(self) -> dict[str, object]:
        """The parameters of the address that shows it."""
        return {
            "dimension": self.dimension,
            "scope": self.scope_value,
            "window": self.window_s,
            "organization": self.organization,
        }


def read_budget_identity(row: Row) -> BudgetIdentity:
    """The budget that a row is about."""
    return BudgetIdentity(row["organization"], row["dimension"], row["scope_value"], int(row["window_s"]))
