"""A lease: a slice of grants that this process holds, from which calls are admitted in memory. Whatever a lease does
not admit is asked of the ledger."""

import asyncio
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import Any, Protocol

from tallystick.client.admission import Admission, Admitter, NotAdmitted
from tallystick.client.call_tree import merge_context_fields
from tallystick.client.steady_clock import read_clock_s
from tallystick.privacy.key_shapes import map_texts, replace_keys
from tallystick.rights.sets import FIELDS
from tallystick.rights.slices import (
    MONEY,
    PRICED_FIELDS,
    Draw,
    Shape,
    Slice,
    read_shape,
    write_amounts,
    write_lease_amounts,
    write_shapes,
)
from tallystick.vocabulary.request import SCOPES

TTL_S, SETTLE_S = 60, 900
"""Seconds for which a lease admits, and seconds more in which its calls settle, where they are not given."""
TEND_INTERVAL_S = 1.0
MIN_RETRY_DELAY_S, REFUSED_RETRY_DELAY_S = 1.0, 60.0
"""Delays of the next lease where the ledger gave none, and where it said that only a person can change that."""
MAX_PRICED_MODELS = 64
_TEXTS = frozenset((*SCOPES, *FIELDS.values(), *PRICED_FIELDS, "grant", "payer"))
_COUNTS = {"input_tokens": (0, 10**12), "max_tokens": (0, 10**12), "calls": (1, 10**6), "ttl_s": (10, 86_400)}
"""The bounds of counts, as the vocabulary has them."""


class Lessee(Admitter, Protocol):
    """The part of a client that leases need."""

    def _ask_lease(self, ask: dict[str, Any]) -> dict[str, Any]:
        """Ask the ledger for a lease, and return its answer. NotAdmitted where it gives none."""

    def _return_lease(self, lease: str, amounts: Mapping[str, Any]) -> None:
        """Return what a lease does not use, if the ledger answers."""


class Lease:
    """Admits calls in memory, as far as its slice of the grants reaches; made by ``Client.lease``, used as ``with`` or
    ``async with``. A thread replaces the slice before it runs out, and returns what the one before has left."""

    def __init__(self, client: Lessee, fields: dict[str, Any]) -> None:
        self._client, self._fields = client, fields
        self._scopes = {name: fields[name] for name in SCOPES if fields.get(name) is not None}
        self._grant: str | None = fields.get("grant")
        self._defaults = self._scopes | ({} if self._grant is None else {"grant": self._grant})
        self._shapes: dict[Shape, None] = {}
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self._forsake()

    def admit(self, **fields: Any) -> Admission:
        """Return an admission, as ``Client.admit`` does. Scopes of the lease are part of it. It waits for the network
        only where the lease cannot admit the call."""
        return _LeasedAdmission(self, self._client, self._defaults | fields)

    @property
    def left(self) -> dict[str, str | int]:
        """Return what is left of each measure in the slice that is held; nothing where none is."""
        slice = self._slice
        return {} if slice is None else write_amounts(slice.left)

    def close(self) -> None:
        """Return what is not used. Calls under way settle by their events, and later ones ask the ledger."""
        self._is_closed = True
        self._waking.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._replace(None)

    def __enter__(self) -> "Lease":
        self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.close()

    async def __aenter__(self) -> "Lease":
        await asyncio.wrap_future(self._client._submit(self._open))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        closing: Future[None] = self._client._submit(self.close)
        await asyncio.wrap_future(closing)

    def _open(self) -> None:
        self._renew()
        self._wake()

    def _forsake(self) -> None:
        """Hold nothing: in a new lease, and in a forked child, whose parent holds the slice."""
        self._slice: Slice | None = None
        self._priced: frozenset[Shape] = frozenset()
        self._guard, self._waking = threading.Lock(), threading.Event()
        self._thread, self._retry_at_s = None, 0.0

    def _admit(self, ask: dict[str, Any]) -> tuple[Slice, Draw] | None:
        """Admit a call from the slice; None where the ledger is to be asked."""
        slice = self._slice
        if not _is_plain(ask):
            return None
        draw = None if slice is None else slice.admit(ask, read_clock_s())
        if draw is None or slice is None:
            self._learn_price(ask)
            self._wake()
            return None
        if slice.is_low():
            self._wake()
        return slice, draw

    def _give_back(self, slice: Slice, draw: Draw) -> None:
        """Take an admission back whose call is not made."""
        if not slice.give_back(draw):
            self._return(slice, draw.amounts)

    def _learn_price(self, ask: Mapping[str, Any]) -> None:
        """Have the next lease say the price of a call's model."""
        shape = read_shape(ask)
        if ask.get("model") is None or shape in self._shapes or not any(measure in self._fields for measure in MONEY):
            return
        with self._guard:
            self._shapes[shape] = None
            while len(self._shapes) > MAX_PRICED_MODELS:
                del self._shapes[next(iter(self._shapes))]

    def _wake(self) -> None:
        """Have a thread look whether a lease is to be asked for."""
        if self._is_closed or self._waking.is_set():
            return
        self._waking.set()
        if self._thread is None:
            with self._guard:
                if self._thread is None and not self._is_closed:
                    self._thread = threading.Thread(target=self._tend, name="tallystick-lease", daemon=True)
                    self._thread.start()

    def _tend(self) -> None:
        while not self._is_closed:
            if self._waking.wait(TEND_INTERVAL_S):
                self._waking.clear()
            if not self._is_closed and self._is_wanting():
                self._renew()
            slice = self._slice
            if slice is not None and read_clock_s() >= slice.admits_until_s:
                self._replace(None)

    def _is_wanting(self) -> bool:
        """Tell whether a lease is to be asked for: none is held, or it is half used, half over, or without a price."""
        now_s, slice = read_clock_s(), self._slice
        if now_s < self._retry_at_s:
            return False
        if slice is None or slice.is_low() or not self._priced.issuperset(self._shapes):
            return True
        return slice.is_used() and now_s >= slice.admits_until_s - self._ttl_s / 2

    @property
    def _ttl_s(self) -> float:
        return float(self._fields.get("ttl_s") or TTL_S)

    def _renew(self) -> None:
        """Ask for a lease, and admit from it. Where there is none, what is held is returned, so that asks find it."""
        with self._guard:
            shapes = tuple(self._shapes)
        ask, asked_s = self._build_ask(shapes), read_clock_s()
        self._retry_at_s = asked_s + MIN_RETRY_DELAY_S / 4
        try:
            answer = self._client._ask_lease(ask)
        except NotAdmitted as refusal:
            delay_s = MIN_RETRY_DELAY_S if refusal.retryable else REFUSED_RETRY_DELAY_S
            self._retry_at_s = read_clock_s() + max(delay_s, refusal.retry_after_s or 0)
            if not refusal.decision:  # it may be given later
                amounts = {
                    name: ask[name] for name in ("billed", "notional", "currency", "tokens", "calls") if name in ask
                }
                self._client._return_lease(ask["id"], amounts)
            self._replace(None)
            return
        settle_s = float(SETTLE_S if self._fields.get("settle_s") is None else self._fields["settle_s"])
        until, expires = (_read_time(answer[name]) for name in ("admits_until", "expires_at"))
        cut_s = (expires - until).total_seconds() - settle_s  # by the end of a grant
        admits_until_s = asked_s + self._ttl_s
        slice = Slice(answer, self._scopes, admits_until_s - cut_s, admits_until_s + settle_s, self._grant)
        self._priced = frozenset(shapes)
        self._replace(slice)

    def _replace(self, slice: Slice | None) -> None:
        """Admit from another slice, and return what is left of the former."""
        with self._guard:
            former, self._slice = self._slice, slice
        if former is not None:
            self._return(former, former.close())

    def _return(self, slice: Slice, amounts: Mapping[str, int]) -> None:
        if any(amounts.values()):
            self._client._return_lease(slice.lease, write_lease_amounts(amounts, slice.answer.get("currency") or ""))

    def _build_ask(self, shapes: tuple[Shape, ...]) -> dict[str, Any]:
        fields = {name: value for name, value in self._fields.items() if value is not None}
        for measure in MONEY:
            if measure in fields:
                fields[measure] = str(fields[measure])
        ask: dict[str, Any] = map_texts(fields, replace_keys)
        if shapes:
            ask["models"] = write_shapes(shapes)
        return ask | {"id": str(uuid.uuid4())}


class _LeasedAdmission(Admission):
    """An admission from a lease where that reaches, else of the ledger."""

    def __init__(self, lease: Lease, client: Admitter, fields: dict[str, Any]) -> None:
        self._client, self._fields, self._lease = client, fields, lease
        self._is_called = False
        self._draw: tuple[Slice, Draw] | None = None
        self.id = ""
        self.decision = {}

    def __enter__(self) -> Admission:
        return self if self._try_lease() else super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._draw is None:
            super().__exit__(kind, error, trace)
        elif not self._is_called:
            self._lease._give_back(*self._draw)

    async def __aenter__(self) -> Admission:
        return self if self._try_lease() else await super().__aenter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._draw is None:
            await super().__aexit__(kind, error, trace)
        elif not self._is_called:
            await asyncio.wrap_future(self._client._submit(self._lease._give_back, *self._draw))

    def _try_lease(self) -> bool:
        ask = merge_context_fields(self._fields)
        self._draw = self._lease._admit(ask)
        if self._draw is None:
            self.id = str(uuid.uuid4())
            return False
        slice, draw = self._draw
        self.id = draw.name
        answer = slice.answer
        self.decision = {
            "admission": draw.name, "answer": "allow", "model": ask.get("model"), "lease": slice.lease,
            "grants": answer["grants"], "reserved": slice.describe_charges(draw), "expires_at": answer["expires_at"],
            "warnings": answer["warnings"],
        }  # fmt: skip
        return True


def _is_plain(ask: Mapping[str, Any]) -> bool:
    """Tell whether all that an ask says is as it would stand on the log: nothing is to be converted or refused."""
    for name, value in ask.items():
        if value is None:
            continue
        if name in _TEXTS:
            if type(value) is not str or not value:
                return False
        elif name in _COUNTS:
            minimum, maximum = _COUNTS[name]
            if type(value) is not int or not minimum <= value <= maximum:
                return False
    return True


def _read_time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
