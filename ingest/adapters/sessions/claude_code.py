"""Claude Code's session files: ``~/.claude/projects/**/*.jsonl``, a line a message or a part of one.

Source: the files themselves, and issues of anthropics/claude-code and ccusage/ccusage on their repeated lines. An
answer is written once a content block, under one ``message.id`` and ``requestId``, while its usage grows: its greatest
counts. Forked and resumed sessions hold copies of earlier answers under the same two ids. ``<synthetic>`` answers are
no calls. Contents, paths and branches are never read.
"""

from collections import OrderedDict
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from ingest.adapters.adapter import USAGE_FIELDS, Format, Read, RowSource, SourceEvent
from ingest.adapters.cells import parse_object, parse_text
from ingest.adapters.fields import Fields
from ingest.adapters.head import Head
from ingest.adapters.identity import join_identity
from ingest.adapters.sessions.session_line import decode_line, get_time
from ingest.intake.rejection import Rejection
from tallystick.usage.reader import read_fields

NAME = "claude-code"
MAX_PENDING = 1_000
"""Answers that wait for later lines of theirs; one that is sent early is sent again with a greater revision."""
USAGE_FORM = "anthropic_messages"
SYNTHETIC = "<synthetic>"
PROVIDERS = {"msg_bdrk_": "aws.bedrock", "msg_vrtx_": "gcp.vertex_ai"}
"""Hosts of the models by the beginning of a message's id; others are Anthropic's own."""


class Message(msgspec.Struct):
    id: Any = None
    model: Any = None
    stop_reason: Any = None
    usage: dict[str, Any] | None = None


class Line(msgspec.Struct):
    """A line. What is no usage may be of any type: it is left out where it does not fit, and costs no call."""

    type: Any = None
    timestamp: Any = None
    sessionId: Any = None
    requestId: Any = None
    uuid: Any = None
    version: Any = None
    costUSD: Any = None
    forkedFrom: Any = None
    message: Message | None = None


class Answer(NamedTuple):
    """The greatest state of an answer so far, and the moment of its first line."""

    revision: int
    time: datetime
    line: Line


_decode = msgspec.json.Decoder(Line).decode


class Reader:
    """Reads lines, and keeps each answer until no further line of it is expected."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, Answer] = OrderedDict()

    def read(self, raw: bytes) -> Read:
        line = decode_line(raw, _decode, _holds_usage)
        message = line.message if line is not None else None
        if line is None or line.type != "assistant" or message is None or message.usage is None:
            return ()
        if message.model == SYNTHETIC:
            return ()
        time = get_time(line.timestamp)
        id, request = parse_text(message.id) or parse_text(line.uuid), parse_text(line.requestId)
        if not (id or request):
            raise Rejection("message.id", "is missing: it tells an answer from the others")
        key = join_identity([id or "", request or ""])
        answer = Answer(_measure(message), time, line)
        earlier = self._answers.get(key)
        if earlier is None:
            self._answers[key] = answer
        elif answer.revision > earlier.revision:
            self._answers[key] = answer._replace(time=min(earlier.time, time))
        if len(self._answers) <= MAX_PENDING:
            return ()
        return [_make_event(*self._answers.popitem(last=False))]

    def finish(self) -> Read:
        while self._answers:
            yield _make_event(*self._answers.popitem(last=False))


def _holds_usage(document: dict[str, Any]) -> bool:
    return document.get("type") == "assistant"


def _measure(message: Message) -> int:
    """Return how far an answer has grown: twice its tokens, and one more where it has ended."""
    counts = (value for value in (message.usage or {}).values() if type(value) is int and value > 0)
    return 2 * sum(counts) + (message.stop_reason is not None)


def _make_event(key: str, answer: Answer) -> SourceEvent:
    line, message = answer.line, answer.line.message
    assert message is not None and message.usage is not None
    provider = PROVIDERS.get((parse_text(message.id) or "")[: len("msg_bdrk_")], "anthropic")
    fields = Fields(
        {}, adapter=NAME, adapter_version="1", ingress="telemetry", provider=provider, agent=NAME, operation="chat"
    )
    fields.usage(read_fields({"usage": message.usage}, USAGE_FORM) or {"usage_source": "missing"})
    fields.text("session", parse_object(line.forkedFrom).get("sessionId"), "forkedFrom.sessionId")
    fields.text("session", line.sessionId, "sessionId")
    fields.text("agent_version", line.version, "version")
    fields.text("model", message.model, "message.model")
    fields.text("finish_reason", message.stop_reason, "message.stop_reason")
    fields.text("service_tier", message.usage.get("service_tier"), "message.usage.service_tier")
    fields.text("speed", message.usage.get("speed"), "message.usage.speed")
    geography = message.usage.get("inference_geo")
    fields.text("geography", None if geography == "not_available" else geography, "message.usage.inference_geo")
    fields.claim(line.costUSD, "costUSD")
    fields.data["revision"] = answer.revision
    return SourceEvent(key, answer.time, fields.finish(fit=False))


def _recognises(head: Head) -> bool:
    return head.container == "jsonl" and any(
        ("sessionId" in row and ("uuid" in row or "parentUuid" in row or "leafUuid" in row or "snapshot" in row))
        or (row.get("type") == "summary" and "leafUuid" in row)
        or ("sessionId" in row and row.get("type") in ("queue-operation", "custom-title", "ai-title", "last-prompt"))
        or (row.get("type") == "file-history-snapshot" and "messageId" in row)
        for row in head.rows
    )


FORMAT = Format(
    name=NAME,
    known_by="lines with sessionId, uuid and message (a session file of ~/.claude/projects, or the folder)",
    recognises=_recognises,
    rows=RowSource(
        lambda name: Reader(),
        USAGE_FIELDS | {"provider", "session", "agent", "operation"},
        marks=(b'"usage"',),
        has_copies=True,
    ),
)
