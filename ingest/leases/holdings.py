"""Holdings: the leases of one process, the asks that it answers from them, and which to ask for next. No log is read or
written here, and the time is given.

A grant is leased once it is busy, for asks with the scopes of the one that made it so. A lease is replaced when half of
it is taken or its time is half over, as long as the grant is busy; what the one before has left is returned at once.
"""

import threading
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from ingest.leases.demand import Demand
from tallystick.rights.slices import MONEY, ORGANIZATION, Draw, Shape, Slice, read_amounts, read_shape
from tallystick.vocabulary.request import SCOPES

TTL_S, SETTLE_S = 10, 900
"""Seconds for which a lease admits, and seconds more in which the calls settle."""
RETRY_DELAY_S, LONG_RETRY_DELAY_S = 1, 10
"""The delay of the next lease of a grant, and where the ledger said that only a person can change the answer."""
MIN_INTERVAL_S = 0.25
MAX_REMEMBERED_ASKS = 100_000
"""The newest asks, of which the same id gets the same answer."""
MAX_TRACKED_GRANTS = 1_000
MAX_PRICED_MODELS = 64


class Conflict(NamedTuple):
    """An ask whose id has asked for another call."""


class Admitted(NamedTuple):
    """A call that is admitted from a lease."""

    slice: Slice
    draw: Draw
    model: str | None

    def describe(self) -> dict[str, Any]:
        """Describe the answer as the folds describe an admission."""
        answer = self.slice.answer
        return {
            "admission": self.draw.name, "answer": "allow", "model": self.model, "lease": self.slice.lease,
            "grants": answer["grants"], "reserved": self.slice.describe_charges(self.draw),
            "warnings": answer["warnings"], "expires_us": answer["expires_us"],
        }  # fmt: skip


class LeaseRequest(NamedTuple):
    """A lease to ask for, and its name; ``shapes`` are the calls whose prices its answer is to say."""

    holding: "Holding"
    lease: str
    scopes: dict[str, str]
    amounts: dict[str, int]
    shapes: tuple[Shape, ...]


class Return(NamedTuple):
    """Amounts of a lease that are not used."""

    organization: str
    principal: str
    lease: str
    currency: str
    amounts: Mapping[str, int]


class Holding:
    """The calls of one grant and of certain scopes: their demand, and the lease that admits them, once they are busy.
    ``grant`` is the one that the asks name, ``leased_grant`` the one that the lease names."""

    def __init__(self, organization: str, grant: str | None, now_s: float) -> None:
        self.organization, self.grant = organization, grant
        self.leased_grant = grant
        self.principal, self.currency = "", ""
        self.scopes: dict[str, str] = {}
        self.measures: frozenset[str] = frozenset()
        self.shapes: dict[Shape, None] = {}
        self.demand = Demand(now_s)
        self.slice: Slice | None = None
        self.priced_shapes: frozenset[Shape] = frozenset()  # of which the lease was asked to say the price
        self.is_asking = False
        self.retry_at_s = 0.0

    def take_over(self, principal: str, ask: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Take over what an ask that the ledger allowed says of its grant."""
        self.principal = principal
        self.scopes = {name: ask[name] for name in SCOPES if ask.get(name) is not None}
        self.leased_grant = answer["grants"][0] if len(answer["grants"]) == 1 else self.grant
        limits = [charge["limit"].split("/") for charge in answer["reserved"]]
        self.measures = frozenset(("calls", *(limit[0] for limit in limits)))
        self.currency = next((limit[1] for limit in limits if limit[0] in MONEY), "")

    def learn_price(self, ask: Mapping[str, Any]) -> None:
        """Have the next lease say the price of an ask's model, the newest models first."""
        if ask.get("model") is None or not self.measures.intersection(MONEY):
            return
        shape = read_shape(ask)
        self.shapes.pop(shape, None)
        self.shapes[shape] = None
        while len(self.shapes) > MAX_PRICED_MODELS:
            del self.shapes[next(iter(self.shapes))]

    def is_wanting(self, now_s: float) -> bool:
        """Tell whether a lease is to be asked for."""
        if self.is_asking or now_s < self.retry_at_s or not self.measures or not self.demand.is_busy(now_s):
            return False
        slice = self.slice
        if slice is None or slice.is_closed or slice.is_low():
            return True
        return now_s >= slice.admits_until_s - TTL_S / 2 or not self.priced_shapes.issuperset(self.shapes)


class Holdings:
    """The holdings of a process, for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tracked: dict[tuple[str, str | None, tuple[str, ...]], Holding] = {}
        """Holdings without a lease, by organization, the grant that is named, and the grants of the answer."""
        self._leased: dict[str, dict[tuple[str, ...], dict[tuple[str | None, ...], Holding]]] = {}
        """Holdings with a lease, by organization, the dimensions of its answer, and the values there."""
        self._remembered: dict[tuple[str, str], tuple[bytes, Admitted | None]] = {}
        self._admitted: dict[tuple[str, str], tuple[Holding, Admitted]] = {}
        """Admissions by organization and name, while they may be released."""
        self._returns: list[Return] = []
        self.is_wanting = False
        """A lease may be wanted, or something is to be returned."""

    def admit(
        self, organization: str, id: str, ask: Mapping[str, Any], digest: bytes, now_s: float
    ) -> Admitted | Conflict | None:
        """Answer an ask from a lease; None where the ledger is to be asked. ``digest`` is of all that the ask says."""
        with self._lock:
            remembered = self._remembered.get((organization, id))
            if remembered is not None:
                former_digest, admitted = remembered
                return Conflict() if admitted is not None and digest != former_digest else admitted
            holding = self._find(organization, ask)
            draw = None if holding is None or holding.slice is None else holding.slice.admit(ask, now_s)
            admitted = None
            if holding is not None and holding.slice is not None:
                if draw is not None:
                    holding.demand.add(draw.amounts, now_s)
                    admitted = Admitted(holding.slice, draw, ask.get("model"))
                    self._admitted[organization, draw.name] = holding, admitted
                self.is_wanting |= draw is None or holding.is_wanting(now_s)
            self._remember(organization, id, digest, admitted)
            return admitted

    def note_answer(
        self, organization: str, principal: str, ask: Mapping[str, Any], answer: Mapping[str, Any], now_s: float
    ) -> None:
        """Count a call that the ledger allowed by its grants."""
        if answer.get("answer") != "allow" or not answer["grants"]:
            return
        with self._lock:
            holding = self._find(organization, ask)
            if holding is None:
                key = organization, ask.get("grant"), tuple(answer["grants"])
                holding = self._tracked.get(key)
                if holding is None:
                    if len(self._tracked) >= MAX_TRACKED_GRANTS:
                        del self._tracked[next(iter(self._tracked))]
                    holding = self._tracked[key] = Holding(organization, ask.get("grant"), now_s)
            if not holding.is_asking:
                holding.take_over(principal, ask, answer)
            holding.learn_price(ask)
            holding.demand.add({"calls": ask.get("calls") or 1} | _read_reserved(answer), now_s)
            self.is_wanting |= holding.is_wanting(now_s)

    def release(self, organization: str, admission: str) -> bool:
        """Take back an admission from a lease whose call is not made, once. False where none of that name is held."""
        with self._lock:
            holding, admitted = self._admitted.pop((organization, admission), (None, None))
            if holding is None or admitted is None:
                return False
            if not admitted.slice.give_back(admitted.draw):
                self._add_return(holding, admitted.slice, admitted.draw.amounts)
            return True

    def list_wanted(self, now_s: float) -> list[LeaseRequest]:
        """Return the leases to ask for now; each is to be answered to ``accept`` or ``refuse``."""
        with self._lock:
            self._drop_idle(now_s)
            self.is_wanting = False
            requests = []
            for holding in self._list_holdings():
                if holding.is_wanting(now_s):
                    holding.is_asking, holding.retry_at_s = True, now_s + MIN_INTERVAL_S
                    requests.append(_build_ask(holding, now_s))
            return requests

    def accept(self, request: LeaseRequest, answer: Mapping[str, Any], asked_s: float) -> None:
        """Admit from a lease that was given; ``asked_s`` is before it was asked for."""
        cut_s = (answer["expires_us"] - answer["admits_until_us"]) / 1_000_000 - SETTLE_S  # by the end of a grant
        with self._lock:
            holding, scopes = request.holding, request.scopes
            self._forget(holding)
            self._close(holding)
            expires_s = asked_s + TTL_S + SETTLE_S
            holding.slice = Slice(answer, scopes, asked_s + TTL_S - cut_s, expires_s, holding.grant)
            holding.priced_shapes = frozenset(request.shapes)
            holding.scopes, holding.is_asking = scopes, False
            dimensions = tuple(answer["dimensions"])
            table = self._leased.setdefault(holding.organization, {}).setdefault(dimensions, {})
            replaced = table.get(key := _build_key(dimensions, holding.grant, scopes))
            if replaced is not None:
                self._close(replaced)
            table[key] = holding

    def refuse(self, request: LeaseRequest, now_s: float, *, is_retryable: bool, is_unanswered: bool = False) -> None:
        """Return what a grant's lease has left, so that asks find it, where there is no other. A lease without an
        answer may be given later: all of it is returned."""
        with self._lock:
            holding = request.holding
            holding.is_asking = False
            holding.retry_at_s = now_s + (RETRY_DELAY_S if is_retryable else LONG_RETRY_DELAY_S)
            self._close(holding)
            if is_unanswered:
                self._returns.append(
                    Return(holding.organization, holding.principal, request.lease, holding.currency, request.amounts)
                )

    def take_returns(self, now_s: float) -> list[Return]:
        """Close the leases whose time is over, and return what is to be returned."""
        with self._lock:
            for holding in self._list_holdings():
                if holding.slice is not None and now_s >= holding.slice.admits_until_s:
                    self._close(holding)
            returns, self._returns = self._returns, []
            return returns

    def close(self) -> list[Return]:
        """Close all leases, and return what is to be returned."""
        with self._lock:
            for holding in self._list_holdings():
                self._close(holding)
            returns, self._returns = self._returns, []
            return returns

    def is_empty(self) -> bool:
        """Tell whether no lease is held or wanted, and nothing is to be returned."""
        with self._lock:
            is_held = any(table for tables in self._leased.values() for table in tables.values())
            return not (is_held or self._returns or self.is_wanting)

    def _find(self, organization: str, ask: Mapping[str, Any]) -> Holding | None:
        """Find the holding whose lease is for the scopes of an ask."""
        for dimensions, table in self._leased.get(organization, {}).items():
            holding = table.get(_build_key(dimensions, ask.get("grant"), ask))
            if holding is not None:
                return holding
        return None

    def _list_holdings(self) -> list[Holding]:
        leased = [
            holding for tables in self._leased.values() for table in tables.values() for holding in table.values()
        ]
        return [*self._tracked.values(), *leased]

    def _drop_idle(self, now_s: float) -> None:
        """Forget holdings that nobody asks for."""
        for holding in self._list_holdings():
            is_closed = holding.slice is None or holding.slice.is_closed
            if is_closed and not holding.is_asking and holding.demand.is_idle(now_s):
                self._forget(holding)

    def _forget(self, holding: Holding) -> None:
        tables: list[dict[Any, Holding]] = [self._tracked, *self._leased.get(holding.organization, {}).values()]
        for table in tables:
            for key in [key for key, value in table.items() if value is holding]:
                del table[key]

    def _close(self, holding: Holding) -> None:
        if holding.slice is not None and not holding.slice.is_closed:
            self._add_return(holding, holding.slice, holding.slice.close())

    def _add_return(self, holding: Holding, slice: Slice, amounts: Mapping[str, int]) -> None:
        if any(amounts.values()):
            currency = slice.answer.get("currency") or ""
            self._returns.append(Return(holding.organization, holding.principal, slice.lease, currency, amounts))
            self.is_wanting = True

    def _remember(self, organization: str, id: str, digest: bytes, admitted: Admitted | None) -> None:
        """Remember an ask, and forget the oldest."""
        self._remembered[organization, id] = digest, admitted
        if len(self._remembered) > MAX_REMEMBERED_ASKS:
            oldest = next(iter(self._remembered))
            _, admitted = self._remembered.pop(oldest)
            if admitted is not None:
                self._admitted.pop((oldest[0], admitted.draw.name), None)


def _build_ask(holding: Holding, now_s: float) -> LeaseRequest:
    demand = holding.demand.find_amounts(now_s)
    amounts = {measure: demand.get(measure, 1) for measure in sorted(holding.measures)}
    return LeaseRequest(holding, f"api-{uuid.uuid4().hex[:20]}", dict(holding.scopes), amounts, tuple(holding.shapes))


def _build_key(dimensions: tuple[str, ...], grant: str | None, scopes: Mapping[str, Any]) -> tuple[str | None, ...]:
    return (grant, *[scopes.get(dimension) for dimension in dimensions if dimension != ORGANIZATION])


def _read_reserved(answer: Mapping[str, Any]) -> dict[str, int]:
    """Return the greatest amount of each measure that an answer reserves."""
    amounts: dict[str, int] = {}
    for charge in answer["reserved"]:
        measure = charge["limit"].partition("/")[0]
        (amount,) = read_amounts({measure: charge["amount"]}).values()
        amounts[measure] = max(amount, amounts.get(measure, 0))
    return amounts
