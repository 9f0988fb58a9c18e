"""The client: it records an application's calls, which never wait for the ledger or fail because of it."""

import atexit
import hashlib
import itertools
import json
import logging
import os
import re
import secrets
import threading
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from tallystick.client.admission import Admission, NotAdmitted, read_decision, read_lease
from tallystick.client.call_tree import Call, Session, merge_context_fields, read_usage
from tallystick.client.lease import Lease
from tallystick.client.rate_limited_log import RateLimitedLog
from tallystick.client.spool import Spool, SpoolFull
from tallystick.privacy.field_names import UNSAFE_LABEL
from tallystick.privacy.key_shapes import map_texts, may_hold_key, replace_keys
from tallystick.vocabulary.base import is_visible
from tallystick.vocabulary.event import InferenceEvent, ObservationEvent
from tallystick.vocabulary.fitting import fit_fields, fit_observation
from tallystick.vocabulary.inference import Inference
from tallystick.vocabulary.observation import Observation, Target
from tallystick.vocabulary.remedies import remedy_of

if TYPE_CHECKING:
    from tallystick.client.delivery import Delivery
    from tallystick.client.http import HttpClient

logger = logging.getLogger("tallystick")

SPOOL_BYTES = 64 << 20
MAX_EVENT_BYTES = 128_000
"""The bound of one event at the ledger."""
SHUTDOWN_TIMEOUT_S = 5.0
"""Seconds for which the end of the process waits for the delivery."""
MAX_ASKING_THREADS = 64
"""Asks of coroutines that wait for the ledger at once."""

_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()


class Counts(NamedTuple):
    """Counts of this process's events: recorded in the spool, delivered, refused by the ledger, dropped (unreadable, or
    no room), and lost with files of the spool that somebody deleted. ``left_out`` counts fields of recorded events."""

    recorded: int
    delivered: int
    refused: int
    dropped: int
    lost: int = 0
    left_out: int = 0

    @property
    def pending(self) -> int:
        """Events in the spool that the ledger has not answered for."""
        return self.recorded - self.delivered - self.refused - self.lost


class Client:
    """Records inferences and observations of one application (``source``) for the ledger at ``url``.

    A call returns once its event stands in the spool on this machine's disk; a thread delivers it, in order. No call
    raises or waits for the network: an event that cannot be kept is counted and logged. Works in threads, in
    asyncio and after a fork. ``admit`` alone asks the ledger, and raises where it does not allow the call.
    """

    _incarnation: str
    _spool: Spool | None
    _delivery: "Delivery | None"
    _http_client: "HttpClient | None"
    _asking: ThreadPoolExecutor | None

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        source: str,
        spool: str | os.PathLike[str] | None = None,
        spool_bytes: int = SPOOL_BYTES,
    ) -> None:
        """Create a client. ``url``, ``token`` and ``spool`` (a folder) default to TALLY_URL, TALLY_TOKEN and
        TALLY_SPOOL. ValueError where one is missing or invalid; no other method raises."""
        self._url, self._token = (
            _require_setting(url, "url", "TALLY_URL"),
            _require_setting(token, "token", "TALLY_TOKEN"),
        )
        if not re.fullmatch(r"https?://[^/\s]+(/\S*)?", self._url):
            raise ValueError(f"url is {self._url!r}: write http://HOST:PORT or https://HOST (TALLY_URL)")
        if not re.fullmatch(r"[!-~]+", self._token):
            raise ValueError("token holds a space or a character that no token has: use one of `tally token create`")
        if not 1 <= len(source) <= 400:
            raise ValueError(f"source has {len(source)} characters: name the application with 1 to 400")
        if not is_visible(source):
            raise ValueError(f"source is {source!r}: name the application with visible characters alone")
        self._name, self._max_bytes = replace_keys(source), spool_bytes
        self._folder = _choose_folder(spool or os.environ.get("TALLY_SPOOL"), self._name, self._url)
        self._leases: weakref.WeakSet[Lease] = weakref.WeakSet()
        self._begin()
        _clients.add(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    def record(self, inference: Inference | None = None, /, *, usage: object = None, **fields: Any) -> str | None:
        """Record one call that has ended now: an ``Inference``, or its fields by name.

        ``usage`` is a provider's response, or its usage block, as it came. Fields of the session and the call around
        are taken over. A field that does not fit is converted or left out (``counts.left_out``), and the call is
        recorded. Returns the event's id; None where it could not be kept.
        """
        return self._record(
            self._new_id(),
            merge_context_fields(fields if usage is None else read_usage(usage, fields.get("model")) | fields),
            inference,
        )

    def observe(self, observation: Observation | None = None, /, *, call: str | None = None, **fields: Any) -> None:
        """Record what is learned later about a call that this client recorded (its id), a session or an account:
        ``client.observe(call=id, metric="solved", value="1")``."""
        try:
            if call is not None:
                fields["of"] = Target(source=self.source, id=call)
            if observation is None:
                fitted = fit_observation(fields)
                observation = Observation.model_validate(fitted.fields)
                self._count_left_out(fitted.left_out)
            self._keep(ObservationEvent, self._new_id(), observation)
        except ValidationError as error:
            self._drop(_describe_first_error(error))
        except Exception as error:  # noqa: BLE001  (objects of the application may raise anything)
            self._drop(_describe_unreadable(error))

    def session(self, id: str | None = None, **fields: Any) -> Session:
        """Return a session: ``with client.session(agent="researcher") as session:``, or a decorator. Its calls carry
        these fields and its id."""
        return Session(self, id, fields)

    def call(self, **fields: Any) -> Call:
        """Return a call: ``with client.call(model="gpt-4o") as call: … call.usage(response)``, or a decorator of a
        function that returns the response. It is recorded at its end, with the call around as its parent."""
        return Call(self, fields)

    def admit(self, **fields: Any) -> Admission:
        """Return an admission, which asks the ledger whether a call may be made (``with`` and ``async with``):
        ``with client.admit(model="gpt-4o", team="search", input_tokens=900, max_tokens=500) as admission:``, and in it
        ``with admission.call() as call: …``. Raises NotAdmitted where it may not; that alone waits for the network."""
        return Admission(self, fields)

    def lease(self, **fields: Any) -> Lease:
        """Return a lease, from which calls of its scopes are admitted in memory: ``with client.lease(team="search",
        billed="5", currency="USD") as lease:``, and in it ``with lease.admit(model=…, …) as admission:``. ``billed``,
        ``notional``, ``tokens`` and ``calls`` are the most that one slice is to have; ``ttl_s`` its seconds (60)."""
        lease = Lease(self, fields)
        self._leases.add(lease)
        return lease

    def flush(self, seconds: float = SHUTDOWN_TIMEOUT_S) -> bool:
        """Wait until all recorded events are delivered. False where that takes longer (nothing is lost then), or where
        files of the spool were deleted (``counts.lost``)."""
        return self._is_forked or self._delivery is None or self._delivery.flush(seconds)

    def close(self, seconds: float = SHUTDOWN_TIMEOUT_S) -> None:
        """Deliver for at most so many seconds, and leave the rest to the next client of the spool. Nothing is recorded
        afterwards."""
        if self._spool is None or self._is_forked:
            return
        for lease in list(self._leases):
            lease.close()
        delivered = self.flush(seconds)
        with self._guard:
            spool, self._spool = self._spool, None
            if not delivered:
                logger.warning(
                    "%d events are not delivered; the next client of the spool %s delivers them",
                    self.counts.pending, self._folder,
                )  # fmt: skip
            if spool and self._delivery:
                self._delivery.stop()
                spool.close(empty=self._delivery.pending == 0)

    @property
    def counts(self) -> Counts:
        delivery = self._delivery
        if delivery is None:
            return Counts(0, 0, 0, self._dropped, 0, self._left_out)
        return Counts(
            delivery.recorded, delivery.delivered, delivery.refused, self._dropped, delivery.lost, self._left_out
        )

    @property
    def source(self) -> str:
        """The source of this incarnation's events, which it numbers from 1."""
        return f"{self._name}/{self._incarnation}"

    def _begin(self) -> None:
        """Begin a new incarnation."""
        self._guard = threading.RLock()
        self._ids = itertools.count(1)
        self._dropped = self._left_out = 0
        self._log = RateLimitedLog()
        self._spool, self._delivery, self._is_forked = None, None, False
        self._http_client, self._asking = None, None
        self._incarnation = secrets.token_hex(6)
        try:
            self._spool = Spool(self._folder, self._incarnation, self._max_bytes)
        except OSError as error:
            logger.error(
                "cannot use the spool %s, so nothing is recorded: %s. Set TALLY_SPOOL to a writable folder",
                self._folder,
                error.strerror,
            )
            return
        from tallystick.client.delivery import Delivery  # the vocabulary alone needs no httpx
        from tallystick.client.http import HttpClient

        self._http_client = HttpClient(self._url, self._token)
        self._delivery = Delivery(self._http_client, self._folder, self._spool, self._guard)

    def _on_fork(self) -> None:
        """Leave the parent's files to the parent in a forked child; the child begins an incarnation when it records."""
        if self._spool:
            self._spool.forsake()
            self._guard, self._is_forked = threading.RLock(), True
        for lease in list(self._leases):
            lease._forsake()

    def _begin_in_child(self) -> None:
        with self._guard:
            if self._is_forked:
                self._begin()

    def _new_id(self) -> str:
        self._begin_in_child()
        return f"{self._incarnation}-{next(self._ids)}"

    def _ask(self, ask: dict[str, Any]) -> dict[str, Any]:
        from tallystick.client.http import NoAnswer

        self._begin_in_child()
        if self._http_client is None:
            raise NotAdmitted("the client's spool cannot be used, so a call could not be settled: set TALLY_SPOOL")
        try:
            status, document = self._http_client.ask(ask)
        except NoAnswer as no_answer:
            raise NotAdmitted(str(no_answer), retryable=True) from None
        return read_decision(self._http_client.url, status, document)

    def _ask_lease(self, ask: dict[str, Any]) -> dict[str, Any]:
        from tallystick.client.http import NoAnswer

        self._begin_in_child()
        if self._http_client is None:
            raise NotAdmitted("the client's spool cannot be used, so a call could not be settled: set TALLY_SPOOL")
        try:
            status, document = self._http_client.lease(ask)
            return read_lease(self._http_client.url, status, document)
        except NoAnswer as no_answer:
            refusal = NotAdmitted(str(no_answer), retryable=True)
        except NotAdmitted as not_admitted:
            refusal = not_admitted
        self._log.warn(f"no lease: {refusal}; calls are asked one by one")
        raise refusal

    def _return_lease(self, lease: str, amounts: Mapping[str, Any]) -> None:
        from tallystick.client.http import NoAnswer

        try:
            if self._http_client is not None:
                self._http_client.return_lease(lease, amounts)
        except NoAnswer as no_answer:
            self._log.warn(f"{no_answer}; what a lease holds expires by itself")

    def _release(self, admission: str) -> None:
        from tallystick.client.http import NoAnswer

        try:
            if self._http_client is not None:
                self._http_client.release(admission)
        except NoAnswer as no_answer:
            self._log.warn(f"{no_answer}; what an admission reserves expires by itself")

    def _submit(self, work: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        self._begin_in_child()
        with self._guard:
            self._asking = self._asking or ThreadPoolExecutor(MAX_ASKING_THREADS, "tallystick-ask")
            return self._asking.submit(work, *arguments)

    def _record(self, id: str, fields: dict[str, Any], inference: Inference | None = None) -> str | None:
        try:
            return self._keep(InferenceEvent, id, self._build_inference(fields, inference))
        except ValidationError as error:
            return self._drop(_describe_first_error(error))
        except Exception as error:  # noqa: BLE001  (whatever the application's objects do, its call goes on)
            return self._drop(_describe_unreadable(error))

    def _build_inference(self, fields: dict[str, Any], inference: Inference | None) -> Inference:
        """Build the inference to record, of the fields that fit, without keys."""
        values = fields if inference is None else fields | inference.model_dump(exclude_none=True)
        fitted = fit_fields(values)
        if fitted.left_out:
            self._count_left_out(fitted.left_out)
        return Inference.model_validate(fitted.fields)

    def _count_left_out(self, labels: tuple[str, ...]) -> None:
        """Count and log fields that are left out, by names that are no content."""
        with self._guard:
            self._left_out += len(labels)
        for label in labels:
            name = "of a name that may be content" if label == UNSAFE_LABEL else repr(label)
            self._log.warn(f"a field {name} does not fit and is left out; its event is recorded. {remedy_of(label)}")

    def _keep(self, kind: type[InferenceEvent] | type[ObservationEvent], id: str, data: Any) -> str | None:
        self._begin_in_child()
        with self._guard:
            if self._spool is None or self._delivery is None:
                return self._drop("the client is closed, or its spool cannot be used")
            try:
                number = self._delivery.recorded + 1
                event = kind(id=id, source=self.source, time=datetime.now(UTC), sequence=number, data=data)
                line = _encode_event(kind, event)
                if len(line) > MAX_EVENT_BYTES:
                    return self._drop(f"it has {len(line):,} bytes, and may have {MAX_EVENT_BYTES:,}")
                self._spool.append(line + b"\n")
            except SpoolFull:
                return self._drop(
                    f"the spool {self._folder} holds its {self._max_bytes:,} bytes: the ledger is unreachable for long"
                )
            except OSError as error:
                return self._drop(f"the spool {self._folder} cannot be written: {error.strerror}")
            self._delivery.take_up(number)
        return id

    def _drop(self, reason: str) -> str | None:
        """Count and log an event that is not kept; it has no id."""
        with self._guard:
            self._dropped += 1
        self._log.warn(f"an event is not recorded: {reason} (Client.counts tells how many)")
        return None


def _require_setting(value: str | None, name: str, variable: str) -> str:
    if not (setting := value or os.environ.get(variable)):
        raise ValueError(f"{name} is missing: pass {name}=… or set {variable}")
    return setting.rstrip("/")


def _choose_folder(spool: str | os.PathLike[str] | None, source: str, url: str) -> Path:
    """Return a folder for each application and ledger, so that no client delivers events of another."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    root = Path(spool) if spool else Path(state) / "tallystick" / "spool"
    digest = hashlib.sha256(f"{url}\n{source}".encode()).hexdigest()[:12]
    return root / f"{re.sub(r'[^A-Za-z0-9_-]+', '-', source)[:40]}-{digest}"


def _encode_event(
    kind: type[InferenceEvent] | type[ObservationEvent], event: InferenceEvent | ObservationEvent
) -> bytes:
    """Return an event as it leaves the process, with fingerprints for the keys in its texts."""
    line = event.canonical()
    if not may_hold_key(line):
        return line
    return kind.model_validate_json(json.dumps(map_texts(json.loads(line), replace_keys))).canonical()


def _describe_unreadable(error: Exception) -> str:
    """Describe an object that fails when it is read, without its message, which may be content."""
    return f"an argument cannot be read ({type(error).__name__})"


def _describe_first_error(error: ValidationError) -> str:
    """Describe the first error of an event, without any value."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return f"{first['loc'][0] if first['loc'] else 'the event'}: {first['msg']}"


def _close_at_exit(reference: "weakref.ref[Client]") -> None:
    if (client := reference()) is not None:
        client.close()


def _mark_forked() -> None:
    for client in list(_clients):
        client._on_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_mark_forked)
