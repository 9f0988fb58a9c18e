"""The callback that records every call of LiteLLM: ``callbacks: ["tallystick.litellm.callback"]`` in the proxy's
configuration, or ``litellm.callbacks = [tallystick.litellm.callback]`` in Python.

Address, token and source come from TALLY_URL, TALLY_TOKEN and TALLY_SOURCE (``litellm`` by default). No message and no
answer is read. A method never raises, and never waits for the ledger.

With TALLY_ADMIT, the proxy asks before each call: ``open`` calls where the ledger gives no answer, ``closed`` refuses
then. That method alone waits for the ledger, and raises where a call is refused.
"""

import asyncio
import atexit
import importlib
import logging
import os
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tallystick.client.admission import Admission, NotAdmitted
from tallystick.client.client import Client
from tallystick.gateways import litellm_admission
from tallystick.gateways.litellm_payload import identify_payload, is_call, read_payload
from tallystick.usage.base import to_mapping

if TYPE_CHECKING:

    class CustomLogger:
        """LiteLLM's base class of callbacks."""

        def __init__(self) -> None: ...

else:
    try:
        from litellm.integrations.custom_logger import CustomLogger
    except ImportError:  # the callback is imported where LiteLLM is not: for its types, or in a test
        CustomLogger = object

logger = logging.getLogger("tallystick")

DEFAULT_SOURCE = "litellm"
MAX_CALLS = 10_000
"""Calls that are remembered: those under way, and those that were recorded."""
ABORT_TIMEOUT_S = 3_600
"""The time after which a call that neither succeeded nor failed counts as aborted."""
_TRACKED_TYPES = frozenset({
    "completion", "acompletion", "text_completion", "atext_completion", "responses", "aresponses", "anthropic_messages",
})  # fmt: skip
_EXPLAINED = ("admission", "answer", "reason", "retryable", "grant", "limit", "left", "refills_at", "granted_by")
"""The members of a decision that the answer of a refused request has."""

Kwargs = Mapping[str, Any]


class TallystickCallback(CustomLogger):
    """Records calls of LiteLLM, of its proxy and of its Python functions, streams too.

    LiteLLM says nothing of a stream whose reader leaves it before its end, so a call that began and never ended is
    recorded as aborted, without usage: after an hour, and at the end of the process.
    """

    def __init__(self, client: Client | None = None) -> None:
        super().__init__()
        self._own_client = client
        self._guard = threading.Lock()
        self._under_way: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()
        self._recorded: OrderedDict[str, None] = OrderedDict()
        self._admissions: OrderedDict[str, tuple[str, str] | None] = OrderedDict()
        """The admissions of requests; of one of a cheaper model, the group that is called and the model."""
        self._is_disabled = False
        self.asks: Counter[str] = Counter()
        """What became of asks: allow, downgrade, throttle, deny; and unanswered, where the ledger gave none."""
        atexit.register(self.record_aborted)

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: Any) -> Any:
        """Ask for the admission of a request to the proxy, where TALLY_ADMIT says so. LiteLLM's HTTPException where it
        is refused."""
        if not litellm_admission.is_admitted_type(call_type):
            return None
        try:
            policy = litellm_admission.read_policy()
        except ValueError as error:
            raise _build_refusal(NotAdmitted(str(error)), data) from None
        if policy is None:
            return None
        metadata = litellm_admission.find_metadata(data)
        litellm_admission.write_field(metadata, litellm_admission.ADMISSION_KEY, None)
        try:
            admission = await self._admit(data, call_type)
        except NotAdmitted as refusal:
            if refusal.answer is None:
                self._count_unanswered(policy, str(refusal))
            else:
                self.asks[refusal.answer] += 1
            if refusal.answer is not None or policy == "closed":
                raise _build_refusal(refusal, data) from None
            return data
        except Exception as error:  # noqa: BLE001  (whatever LiteLLM hands over, the policy decides)
            self._count_unanswered(policy, f"the request cannot be read ({type(error).__name__})")
            if policy == "closed":
                raise _build_refusal(NotAdmitted("the request cannot be read as an ask"), data) from None
            return data
        self.asks[str(admission.decision["answer"])] += 1
        litellm_admission.write_field(metadata, litellm_admission.ADMISSION_KEY, admission.id)
        cheaper: tuple[str, str] | None = None
        if admission.decision["answer"] == "downgrade" and admission.model is not None:
            group = litellm_admission.find_group(admission.model, metadata.get("user_api_key_team_id"))
            data["model"], cheaper = group, (group, admission.model)
        with self._guard:
            self._admissions[admission.id] = cheaper
            if len(self._admissions) > MAX_CALLS:
                self._admissions.popitem(last=False)
        return data

    async def async_post_call_failure_hook(
        self, request_data: Any, original_exception: Any, user_api_key_dict: Any, traceback_str: Any = None
    ) -> None:
        """Release the admission of a request that failed for good, by whomever: none of its attempts settled it."""
        try:
            admission, client = litellm_admission.read_admission(to_mapping(request_data)), self._own_client
            with self._guard:
                is_ours = self._admissions.pop(str(admission), False) is not False
            if is_ours and client is not None:
                await asyncio.wrap_future(client._submit(client._release, admission))
        except Exception as error:  # noqa: BLE001  (it expires by itself)
            self._warn(error)

    def log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        """Remember a call that begins."""
        try:
            self._begin(to_mapping(kwargs))
        except Exception as error:  # noqa: BLE001  (the call goes on, whatever LiteLLM hands over)
            self._warn(error)

    async def async_log_pre_api_call(self, model: Any, messages: Any, kwargs: Any) -> None:
        self.log_pre_api_call(model, messages, kwargs)

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Record a call that succeeded, or of which a part was read."""
        self._record(kwargs)

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Record an attempt that failed."""
        self._record(kwargs)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._record(kwargs)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        self._record(kwargs)

    def record_aborted(self, min_age_s: float = 0) -> None:
        """Record the calls that began so long ago and never ended."""
        try:
            for call, fields in self._take_aborted(min_age_s):
                self._write(f"{call}/aborted", fields | {"status": "aborted", "usage_source": "missing"})
        except Exception as error:  # noqa: BLE001
            self._warn(error)

    async def _admit(self, data: Any, call_type: str) -> Admission:
        """Return the admission of a request. NotAdmitted where it is refused, or the ledger gives no answer."""
        client = self._find_client()
        if client is None:
            raise NotAdmitted("nothing is asked: set TALLY_URL and TALLY_TOKEN")
        ask = await asyncio.to_thread(litellm_admission.build_ask, data, call_type)
        return await client.admit(**ask).__aenter__()

    def _count_unanswered(self, policy: str, reason: str) -> None:
        self.asks["unanswered"] += 1
        outcome = "refused" if policy == "closed" else "made without an admission"
        logger.warning("a call of LiteLLM is %s (%s=%s): %s", outcome, litellm_admission.ADMIT_VARIABLE, policy, reason)

    def _begin(self, kwargs: Kwargs) -> None:
        call, call_type = kwargs.get("litellm_call_id"), kwargs.get("call_type")
        if not isinstance(call, str) or call_type not in _TRACKED_TYPES:
            return
        start = kwargs.get("start_time")
        payload = {
            "litellm_call_id": call, "call_type": call_type, "model": kwargs.get("model"),
            "custom_llm_provider": kwargs.get("custom_llm_provider"), "trace_id": kwargs.get("litellm_trace_id"),
            "metadata": _find_metadata(kwargs), "startTime": start.timestamp() if isinstance(start, datetime) else None,
            "end_user": kwargs.get("user"),
        }  # fmt: skip
        fields = read_payload(payload, _find_metadata(kwargs))
        with self._guard:
            self._under_way[call] = (time.monotonic(), fields)
            while len(self._under_way) > MAX_CALLS:
                self._under_way.popitem(last=False)

    def _record(self, kwargs: Any) -> None:
        """Record what LiteLLM says of a call, once: it calls synchronous and asynchronous methods for some."""
        try:
            values = to_mapping(kwargs)
            payload = to_mapping(values.get("standard_logging_object"))
            call = payload.get("litellm_call_id") or values.get("litellm_call_id")
            with self._guard:
                self._under_way.pop(str(call), None)
            id = identify_payload(payload)
            if id is None or not is_call(payload) or not self._is_new(id):
                return
            fields = read_payload(payload, _find_metadata(values))
            self._write(id, _keep_reservation(self._name_cheaper_model(fields)))
            self.record_aborted(ABORT_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001  (the call goes on, whatever LiteLLM hands over)
            self._warn(error)

    def _name_cheaper_model(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Name the cheaper model that was called: LiteLLM logs the one that its caller asked for."""
        with self._guard:
            cheaper = self._admissions.get(str(fields.get("admission")))
        is_called = cheaper is not None and fields.get("model") == cheaper[0]
        return fields | {"model_resolved": cheaper[1]} if cheaper is not None and is_called else fields

    def _write(self, id: str, fields: dict[str, Any]) -> None:
        client = self._find_client()
        if client is not None:
            client._record(id, fields)

    def _is_new(self, id: str) -> bool:
        with self._guard:
            if id in self._recorded:
                return False
            self._recorded[id] = None
            if len(self._recorded) > MAX_CALLS:
                self._recorded.popitem(last=False)
            return True

    def _take_aborted(self, min_age_s: float) -> list[tuple[str, dict[str, Any]]]:
        latest = time.monotonic() - min_age_s
        taken: list[tuple[str, dict[str, Any]]] = []
        with self._guard:
            while self._under_way:
                call, (start_s, fields) = next(iter(self._under_way.items()))
                if start_s > latest:
                    break
                del self._under_way[call]
                taken.append((call, fields))
        return taken

    def _find_client(self) -> Client | None:
        """Return the client, made with the first call: a proxy sets its environment after the import."""
        with self._guard:
            if self._own_client is None and not self._is_disabled:
                try:
                    self._own_client = Client(source=os.environ.get("TALLY_SOURCE") or DEFAULT_SOURCE)
                except ValueError as error:
                    self._is_disabled = True
                    logger.error("calls of LiteLLM are not recorded: %s", error)
            return self._own_client

    def _warn(self, error: Exception) -> None:
        logger.warning("a call of LiteLLM could not be recorded (%s)", type(error).__name__)


def _find_metadata(kwargs: Kwargs) -> dict[str, Any]:
    """Return the metadata of a call: its caller's, and what the proxy adds."""
    parameters = to_mapping(kwargs.get("litellm_params"))
    return {**to_mapping(parameters.get("litellm_metadata")), **to_mapping(parameters.get("metadata"))}


def _keep_reservation(fields: dict[str, Any]) -> dict[str, Any]:
    """Leave the admission out of an attempt that failed without usage: the next attempt settles it, or the end of the
    request releases it."""
    is_failed = fields.get("status") in ("error", "refused") and fields.get("usage_source") in (None, "missing")
    return {name: value for name, value in fields.items() if not (is_failed and name == "admission")}


def _build_refusal(refusal: NotAdmitted, data: Any) -> Exception:
    """Build the exception that LiteLLM answers with, and let the log say that no provider was called."""
    exceptions: Any = importlib.import_module("fastapi")  # the proxy has it
    litellm_admission.write_field(litellm_admission.find_metadata(data), litellm_admission.STATUS_KEY, "refused")
    content: dict[str, Any] = {"error": str(refusal)}
    status, headers = 429 if refusal.retryable else 403, {}
    if refusal.answer is None:
        status, content = 503, {"error": f"No answer of the ledger, so the call is refused: {refusal}"}
    elif refusal.retry_after_s is not None:
        headers = {"Retry-After": str(int(refusal.retry_after_s))}
    content |= {name: refusal.decision[name] for name in _EXPLAINED if refusal.decision.get(name) is not None}
    exception: Exception = exceptions.HTTPException(status, content, headers)
    return exception


callback = TallystickCallback()
"""The one that a configuration names."""
