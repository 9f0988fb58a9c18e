"""Read what the budgets of an organization have used, by folding the log again; and warn of one that counts nothing."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ingest.controls.budgets import Allocation, list_budgets
from ingest.controls.contracts import find_contracts, load_contract
from ingest.controls.platform_relay import find_adoptions
from ledger.budgets import describe_uncounted
from ledger.log import Log, partition_of
from ledger.log.documents import load_document
from ledger.log.topics import EVENTS
from ledger.money import text
from ledger.pricing.price_book import unpack_book
from streams.folds.budget_windows import read_budget
from streams.folds.chain import NOW
from streams.runtime import read_catalogues
from tally.log.partition_copy import PartitionCopy

Progress = Callable[[int], object]


class BudgetUse(NamedTuple):
    """A budget, what its window has used at a moment of the log's time, and its calls of unknown cost; amounts are
    exact texts. The moment is absent where nothing stands on the log."""

    allocation: Allocation
    used: str
    used_percent: int
    threshold: int
    unknown_calls: int
    as_of: datetime
    warning: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the figures as JSON has them."""
        facts = self.allocation._asdict()
        position = facts.pop("position")
        facts |= {"used": self.used, "used_percent": self.used_percent, "threshold": self.threshold}
        facts |= {"unknown_calls": self.unknown_calls, "as_of": self.as_of.isoformat().replace("+00:00", "Z")}
        return facts | {"partition": position.partition, "offset": position.offset, "warning": self.warning}


def read_budgets(log: Log, organization: str, progress: Progress = lambda count: None) -> list[BudgetUse]:
    """Read the budgets of an organization up to the log's end, each by the window that ends with the log's time."""
    allocations, partition = list_budgets(log, organization), partition_of(organization)
    if not allocations:
        return []
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        copy = PartitionCopy(db, log, partition, read_catalogues(log))
        for count, _ in copy.fold(log.end(EVENTS, partition)):
            progress(count)
        currencies = list_currencies(log, organization)
        now_ms: int = copy.state.get(NOW) or 0
        as_of = datetime.fromtimestamp(now_ms / 1000, UTC)
        uses = []
        for allocation in allocations:
            budget = read_budget(organization, *allocation[:3], now_ms * 1000, copy.state)
            if budget is None:  # its record was quarantined, and has no effect
                continue
            used, spend = budget.amount(budget.present.used), budget.present.used
            uses.append(
                BudgetUse(
                    allocation._replace(limit=text(budget.limit)), text(used), used * 100 // budget.limit,
                    max(budget.fired, default=0), spend.calls, as_of,
                    describe_uncounted(budget.currency, currencies)
                    if currencies and budget.currency not in currencies
                    else None,
                )
            )  # fmt: skip
        return uses


def list_currencies(log: Log, organization: str) -> set[str]:
    """List the currencies of the price books in force, and of an organization's contracts."""
    books = {adoption.name: adoption.document for adoption in find_adoptions(log)}
    documents = ((digest, load_document(log, digest)) for digest in books.values())
    currencies = {unpack_book(digest, packed).currency for digest, packed in documents if packed is not None}
    contracts = find_contracts(log, organization).values()
    return currencies | {load_contract(log, signing).currency for signing in contracts}


def find_warning(log: Log, organization: str, currency: str) -> str | None:
    """Return why a budget in a currency counts nothing; None where it counts."""
    currencies = list_currencies(log, organization)
    return describe_uncounted(currency, currencies) if currencies and currency not in currencies else None
