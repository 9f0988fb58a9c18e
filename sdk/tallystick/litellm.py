"""The callback that records every call of LiteLLM: ``callbacks: ["tallystick.litellm.callback"]`` in the proxy's
configuration, or ``litellm.callbacks = [tallystick.litellm.callback]`` in Python.

Address, token and source come from TALLY_URL, TALLY_TOKEN and TALLY_SOURCE (``litellm`` by default). No message and no
answer is read. A method never raises, and never waits for the ledger.
"""

import atexit
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tallystick.client.client import Client
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
        self._is_disabled = False
        atexit.register(self.record_aborted)

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
            self._write(id, read_payload(payload, _find_metadata(values)))
            self.record_aborted(ABORT_TIMEOUT_S)
        except Exception as error:  # noqa: BLE001  (the call goes on, whatever LiteLLM hands over)
            self._warn(error)

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


callback = TallystickCallback()
"""The one that a configuration names."""
