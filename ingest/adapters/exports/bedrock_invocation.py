"""Amazon Bedrock's model invocation logs: an object a call, from S3 or CloudWatch.

Source: Amazon Bedrock User Guide, *Monitor model invocation*. ``inputTokenCount`` excludes the cache. Of the bodies
only the provider's usage block is read, to tell writes into the cache of five minutes from those of an hour.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ingest.adapters.adapter import USAGE_FIELDS, Format, Row, RowSource, SourceEvent, StatelessReader
from ingest.adapters.cells import parse_count, parse_object, parse_text
from ingest.adapters.fields import Fields
from ingest.adapters.head import Head
from ingest.adapters.token_usage import find_unread_counts, find_unreadable, make_usage

NAME = "bedrock-invocation"
INPUT_COUNTS = {
    "inputTokenCount": "input",
    "cacheReadInputTokenCount": "cache_read",
    "cacheWriteInputTokenCount": "cache_write",
}
MAX_STREAM_EVENTS = 100


def read_row(row: Row) -> list[SourceEvent]:
    row = _get_log(row)
    fields = Fields(row, adapter=NAME, adapter_version="1", ingress="telemetry", provider="aws.bedrock")
    time = fields.time("timestamp")
    id = fields.identity("requestId")
    metadata = parse_object(fields.take("requestMetadata"))
    fields.attributes(metadata)
    _fill_usage(fields)
    model = str(fields.take("modelId") or "").rpartition("/")[2] or None
    fields.text("model", model, "modelId")
    for column, field in (
        ("accountId", "provider_account"), ("inferenceRegion", "region"), ("region", "region"),
        ("operation", "operation"), ("errorCode", "error_code"),
    ):  # fmt: skip
        fields.text(field, fields.take(column), column)
    _fill_caller(fields)
    fields.labels(
        [f"{name}:{value}" for name, value in metadata.items() if "tallystick" not in name], "requestMetadata"
    )
    tier = row.get("serviceTier")
    fields.text("service_tier", parse_object(tier).get("type") if isinstance(tier, Mapping) else tier, "serviceTier")
    performance = parse_object(fields.take("performanceConfig")).get("latency")
    if performance not in (None, "standard"):
        fields.text("speed", performance, "performanceConfig.latency")
    fields.data["status"] = "error" if fields.data.get("error_code") else "ok"
    skip = ("schemaType", "schemaVersion", "input", "output", "identity", "serviceTier", "status")
    return [SourceEvent(id, time, fields.finish(skip=skip))]


def _get_log(row: Row) -> Row:
    """Return the log of a call, which CloudWatch may wrap as ``message``."""
    message = row.get("message", row.get("@message"))
    return parse_object(message) or row if "modelId" not in row else row


def _fill_usage(fields: Fields) -> None:
    input_part, output_part = fields.take_object("input"), fields.take_object("output")
    counts = {name: parse_count(input_part.get(name)) for name in INPUT_COUNTS}
    output = parse_count(output_part.get("outputTokenCount"))
    tokens: dict[str, int | None] = {INPUT_COUNTS[name]: count for name, count in counts.items()} | {"output": output}
    for usage in _find_usage_blocks(output_part.get("outputBodyJson")):
        split = parse_object(usage.get("cache_creation"))
        five, hour = (parse_count(split.get(f"ephemeral_{ttl}_input_tokens")) for ttl in ("5m", "1h"))
        if (five or 0) + (hour or 0) == (tokens.get("cache_write") or 0) > 0:
            tokens |= {"cache_write": None, "cache_write_5m": five, "cache_write_1h": hour}
    unread = find_unread_counts(input_part, INPUT_COUNTS) + find_unread_counts(output_part, ("outputTokenCount",))
    unread += find_unreadable(input_part, INPUT_COUNTS) + find_unreadable(output_part, ("outputTokenCount",))
    images = parse_count(output_part.get("outputImageCount"))
    fields.usage(
        make_usage(
            tokens, {}, {**counts, "outputTokenCount": output}, unread=unread, quantities={"images": images}
        )
    )  # fmt: skip


def _find_usage_blocks(body: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the usage blocks of a body: an answer, or the events of a stream."""
    for event in body[-MAX_STREAM_EVENTS:] + body[:1] if isinstance(body, list) else [body]:
        if isinstance(event, Mapping):
            for owner in (event, event.get("message")):
                if isinstance(owner, Mapping) and isinstance(usage := owner.get("usage"), Mapping):
                    yield usage


def _fill_caller(fields: Fields) -> None:
    """Fill the user by the caller's ARN: the name of an IAM user, or of a session of a role."""
    arn = parse_text(fields.take_object("identity").get("arn"))
    if arn is None:
        return
    resource = arn.rpartition(":")[2]
    kind, _, name = resource.partition("/")
    fields.text("user", name.rpartition("/")[2] or None, "identity.arn")
    if kind == "assumed-role" and "/" in name:
        fields.tag("role", name.partition("/")[0])


def _recognises(head: Head) -> bool:
    return any("modelId" in log and "requestId" in log and "input" in log for log in map(_get_log, head.rows))


FORMAT = Format(
    name=NAME,
    known_by="an object with modelId, requestId, input (JSON, JSONL)",
    recognises=_recognises,
    rows=RowSource(lambda name: StatelessReader(read_row), USAGE_FIELDS | {"provider", "status"}),
)
