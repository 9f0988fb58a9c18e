"""An admission: the ledger is asked before a call is made, and the call settles what was reserved for it."""

import asyncio
import uuid
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from tallystick.client.call_tree import Call, CallContext, Recorder, merge_context_fields
from tallystick.privacy.key_shapes import map_texts, replace_keys
from tallystick.vocabulary.conversion import to_count, to_ratio
from tallystick.vocabulary.fitting import fit_fields
from tallystick.vocabulary.inference import Inference
from tallystick.vocabulary.request import Admission as AdmissionModel

_ASK_FIELDS = frozenset(AdmissionModel.model_fields) - {"action", "admission"}
_CALL_FIELDS = frozenset(Inference.model_fields)


class NotAdmitted(Exception):
    """A call that may not be made now. ``answer`` is deny or throttle; None where the ledger gave none (it does not
    answer, or cannot read the ask), and then the application decides.

    ``retryable`` says whether the same call may be admitted without anybody's decision, and ``retry_after_s`` when to
    ask again. ``decision`` has the rest: reason, grant, limit, left, refills_at, granted_by.
    """

    def __init__(
        self, detail: str, *, answer: str | None = None, retryable: bool = False, retry_after_s: float | None = None,
        decision: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.answer, self.retryable, self.retry_after_s = answer, retryable, retry_after_s
        self.decision: Mapping[str, Any] = decision or {}


class Admitter(Recorder, Protocol):
    """The part of a client that admissions need."""

    def _ask(self, ask: dict[str, Any]) -> dict[str, Any]:
        """Ask the ledger, and return its decision. NotAdmitted where the call is not allowed."""

    def _release(self, admission: str) -> None:
        """Release what is reserved, if the ledger answers."""

    def _submit(self, work: Any, *arguments: Any) -> "Future[Any]":
        """Call ``work`` in a thread."""

    def _count_left_out(self, labels: tuple[str, ...]) -> None:
        """Count and log fields that are left out."""


class Admission:
    """A call that asks first; made by ``Client.admit``. The block is entered where the call is admitted, and ``model``
    is the model to call. Its call settles the reservation; a block without one releases it."""

    def __init__(self, client: Admitter, fields: dict[str, Any]) -> None:
        self._client, self._fields = client, fields
        self._is_called = False
        self.id = str(uuid.uuid4())
        self.decision: dict[str, Any] = {}
        """The ledger's answer: answer, model, grants, expires_at, warnings, and of each limit what is reserved, what is
        left and when it refills (``reserved``)."""

    @property
    def model(self) -> str | None:
        """The model that is admitted: the one of the ask, or the cheaper one that a limit offers."""
        return self.decision.get("model")

    def call(self, **fields: Any) -> Call:
        """Return the admitted call: ``with admission.call() as call: … call.usage(response)``."""
        admitted = {name: value for name, value in self._fields.items() if name in _CALL_FIELDS}
        own = {"admission": self.id} | ({} if self.model is None else {"model": self.model})
        return _AdmittedCall(self, self._client, admitted | own | fields)

    def __enter__(self) -> "Admission":
        self.decision = self._client._ask(self._build_ask())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not self._is_called:
            self._client._release(self.id)

    async def __aenter__(self) -> "Admission":
        asking = self._client._submit(self._client._ask, self._build_ask())
        try:
            self.decision = await asyncio.wrap_future(asking)
        except asyncio.CancelledError:  # the ask goes on, and nobody waits for what it reserves
            asking.add_done_callback(self._release_unheard)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not self._is_called:
            await asyncio.wrap_future(self._client._submit(self._client._release, self.id))

    def _build_ask(self) -> dict[str, Any]:
        """Build the ask of the fields that an admission has, those of the session and the call around included."""
        fields = {
            name: value
            for name, value in merge_context_fields(self._fields).items()
            if name in _ASK_FIELDS and value is not None
        }
        fitted = fit_fields({name: value for name, value in fields.items() if name in _CALL_FIELDS})
        shared = {name: value for name, value in fitted.fields.items() if name in _ASK_FIELDS}
        own, left_out = _fit_own({name: value for name, value in fields.items() if name not in _CALL_FIELDS})
        if fitted.left_out or left_out:
            self._client._count_left_out((*fitted.left_out, *left_out))
        ask: dict[str, Any] = map_texts(shared, replace_keys)
        return ask | own | {"id": self.id}

    def _release_unheard(self, asking: "Future[Any]") -> None:
        if not asking.cancelled() and asking.exception() is None:
            self._client._release(self.id)


class _AdmittedCall(Call):
    """The call of an admission, which it settles from its beginning on."""

    def __init__(self, admission: Admission, client: Recorder, fields: dict[str, Any]) -> None:
        super().__init__(client, fields)
        self._admission = admission

    def _begin(self) -> CallContext:
        self._admission._is_called = True
        return super()._begin()

    def _copy(self) -> Call:
        return _AdmittedCall(self._admission, self._client, self._fields)


def _fit_own(fields: Mapping[str, Any]) -> tuple[dict[str, int | str], list[str]]:
    """Convert the fields that an ask alone has, which are counts and a quantile; return the names of those that do not
    fit too."""
    own_fields: dict[str, int | str] = {}
    left_out = []
    for name, value in fields.items():
        try:
            fitted: int | str | None = to_ratio(value) if name == "estimate" else to_count(value)
        except Exception:  # noqa: BLE001  (objects of the application may raise anything)
            fitted = None
        if fitted is None:
            left_out.append(name)
        else:
            own_fields[name] = fitted
    return own_fields, left_out


def read_decision(url: str, status: int, document: Any) -> dict[str, Any]:
    """Return the decision that the ledger answered. NotAdmitted where it does not allow the call, or gave none."""
    answer = document if isinstance(document, dict) else {}
    if status == 200 and answer.get("answer") in ("allow", "downgrade"):
        return answer
    if status in (401, 403) and "answer" not in answer:
        raise NotAdmitted(f"{url} does not accept the token ({status}): check TALLY_TOKEN")
    retry_after_s = answer.get("retry_after_s")
    raise NotAdmitted(
        str(answer.get("detail") or f"{url} answers {status}"),
        answer=answer.get("answer"),
        retryable=bool(answer.get("retryable", status == 503)),
        retry_after_s=retry_after_s if isinstance(retry_after_s, int | float) else None,
        decision=answer,
    )
