"""Codex's session files: ``~/.codex/sessions/**/*.jsonl``, a rollout a file.

Source: ``codex-rs/protocol`` of openai/codex (``TokenUsageInfo``), and issues of ccusage/ccusage on forks. Session and
model stand on lines of their own. A ``token_count`` gives the session's total and the last call's usage; where the
total has not changed it repeats an earlier one. A fork begins with a replay of its parent's lines, which are counted
where the parent's file is. ``input_tokens`` includes the cache, ``output_tokens`` includes reasoning. Contents, paths
and branches are never read.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from ingest.adapters.adapter import USAGE_FIELDS, Format, Read, RowSource, SourceEvent
from ingest.adapters.cells import EPOCH, parse_count, parse_text, parse_time
from ingest.adapters.fields import Fields
from ingest.adapters.head import Head
from ingest.adapters.identity import join_identity
from ingest.adapters.sessions.session_line import decode_line, get_time
from ingest.adapters.token_usage import find_unread_counts, find_unreadable, make_usage, subtract

NAME = "codex"
REPLAY_S = 3
"""Seconds after a fork within which lines that name no turn are taken for its replay."""
COUNTS = (
    "input_tokens", "cached_input_tokens", "cache_write_input_tokens", "output_tokens", "reasoning_output_tokens",
    "total_tokens",
)  # fmt: skip
LINE_TYPES = ("session_meta", "turn_context", "event_msg", "response_item", "compacted")


class Info(msgspec.Struct):
    total_token_usage: dict[str, Any] | None = None
    last_token_usage: dict[str, Any] | None = None


class ThreadSettings(msgspec.Struct):
    model: Any = None
    model_provider_id: Any = None
    service_tier: Any = None


class Payload(msgspec.Struct):
    """A line's payload. What is no usage may be of any type, and costs no call."""

    type: Any = None
    id: Any = None
    timestamp: Any = None
    cli_version: Any = None
    model_provider: Any = None
    forked_from_id: Any = None
    model: Any = None
    turn_id: Any = None
    info: Info | None = None
    thread_settings: ThreadSettings | None = None


class Line(msgspec.Struct):
    timestamp: Any = None
    type: Any = None
    payload: Payload | None = None


_decode = msgspec.json.Decoder(Line).decode
_NO_USAGE = (0,) * len(COUNTS)


class Reader:
    """Reads lines, and remembers the session, its model and its total so far."""

    def __init__(self, name: str) -> None:
        self._file_name = name
        self._session: str | None = None
        self._fork_time: datetime | None = None
        self._settings: dict[str, Any] = {"model_provider": "openai"}
        self._total = _NO_USAGE
        self._resets = 0
        self._is_turn_known = False

    def read(self, raw: bytes) -> Read:
        line = decode_line(raw, _decode, _holds_usage)
        if line is None or line.payload is None:
            return ()
        payload, time = line.payload, parse_time(line.timestamp)
        if line.type == "session_meta":
            self._begin(payload, time)
        if payload.turn_id:
            self._pass_turn(payload.turn_id)
        if line.type == "turn_context" and payload.model:
            self._settings["model"] = payload.model
        if settings := payload.thread_settings:
            for name, value in (
                ("model", settings.model), ("model_provider", settings.model_provider_id),
                ("service_tier", settings.service_tier),
            ):  # fmt: skip
                self._settings[name] = value or self._settings.get(name)
        if payload.type == "token_count" and payload.info is not None:
            return self._count(payload.info, line.timestamp)
        return ()

    def finish(self) -> Read:
        return ()

    def _begin(self, payload: Payload, time: datetime | None) -> None:
        """Take the file's own session; a later one is its parent's, which a fork repeats."""
        if self._session is not None:
            return
        self._session = parse_text(payload.id)
        self._settings |= {"cli_version": payload.cli_version}
        self._settings["model_provider"] = payload.model_provider or self._settings["model_provider"]
        if payload.forked_from_id:
            self._fork_time = _read_uuid_time(payload.id) or parse_time(payload.timestamp) or time

    def _pass_turn(self, turn_id: str) -> None:
        """End the replay of a fork with its first own turn: ids of turns tell when they began."""
        began = _read_uuid_time(turn_id)
        if self._fork_time is not None and began is not None:
            self._is_turn_known = True
            if began >= self._fork_time:
                self._fork_time = None

    def _is_replay(self, time: datetime) -> bool:
        if self._fork_time is None:
            return False
        return self._is_turn_known or time <= self._fork_time + timedelta(seconds=REPLAY_S)

    def _count(self, info: Info, timestamp: Any) -> Read:
        total = _read_counts(info.total_token_usage)
        last = info.last_token_usage
        if total == self._total and total != _NO_USAGE:
            return ()
        time = get_time(timestamp)
        earlier, is_reset = self._total, any(new < old for new, old in zip(total[:5], self._total[:5], strict=True))
        self._resets += is_reset
        self._total = total
        if self._is_replay(time):
            return ()
        if last is None:
            base = _NO_USAGE if is_reset else earlier
            last = {name: new - old for name, new, old in zip(COUNTS, total, base, strict=True)}
        if not any(_read_counts(last)[:5]) and not find_unread_counts(last, COUNTS):
            return ()
        session = self._session or self._file_name
        id = join_identity([session, str(self._resets), *map(str, total)])
        return [SourceEvent(id, time, self._make_data(session, last))]

    def _make_data(self, session: str, last: dict[str, Any]) -> dict[str, Any]:
        fields = Fields({}, adapter=NAME, adapter_version="1", ingress="telemetry", agent=NAME, operation="chat")
        input_count, cached, written, output, reasoning, total = (parse_count(last.get(name)) for name in COUNTS)
        tokens = {
            "input": subtract(input_count, cached, written), "cache_read": cached, "cache_write": written,
            "output": subtract(output, reasoning), "reasoning": reasoning,
        }  # fmt: skip
        totals = {"input": input_count, "output": output, "total": total}
        unread = find_unreadable(last, COUNTS) + find_unread_counts(last, COUNTS)
        fields.usage(make_usage(tokens, totals, last, unread=unread))
        fields.text("session", session, "session_meta.id")
        fields.text("provider", self._settings["model_provider"], "model_provider")
        fields.text("model", self._settings.get("model"), "turn_context.model")
        tier = self._settings.get("service_tier")
        fields.text("service_tier", "standard" if tier == "default" else tier, "thread_settings.service_tier")
        fields.text("agent_version", self._settings.get("cli_version"), "session_meta.cli_version")
        return fields.finish(fit=False)


def _read_counts(block: dict[str, Any] | None) -> tuple[int, ...]:
    return tuple(parse_count((block or {}).get(name)) or 0 for name in COUNTS)


def _read_uuid_time(id: Any) -> datetime | None:
    """Return the moment of a UUID of version 7; None for any other id."""
    digits = (parse_text(id) or "").replace("-", "")
    if len(digits) != 32 or digits[12] != "7":
        return None
    try:
        return EPOCH + timedelta(milliseconds=int(digits[:12], 16))
    except (ValueError, OverflowError):
        return None


def _holds_usage(document: dict[str, Any]) -> bool:
    payload = document.get("payload")
    return isinstance(payload, dict) and payload.get("type") == "token_count"


def _recognises(head: Head) -> bool:
    return head.container == "jsonl" and any(
        row.get("type") in LINE_TYPES and isinstance(row.get("payload"), dict) and "timestamp" in row
        for row in head.rows
    )


FORMAT = Format(
    name=NAME,
    known_by="lines with timestamp, type and payload (a session file of ~/.codex/sessions, or the folder)",
    recognises=_recognises,
    rows=RowSource(
        Reader,
        USAGE_FIELDS | {"session", "agent", "operation"},
        marks=(b'"token_count"', b'"turn_context"', b'"session_meta"', b'"task_started"', b'"thread_settings"'),
        has_copies=True,
    ),
)
