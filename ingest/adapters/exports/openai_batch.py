"""OpenAI's batch output and error files: a line a request, with the whole response.

Source: OpenAI's API reference, *Batch*, the request output object. Responses without a time of their own (embeddings)
take ``--start``. Answers, and ``custom_id``, which an application makes, are never read.
"""

from ingest.adapters.adapter import USAGE_FIELDS, Format, Row, RowSource, SourceEvent, StatelessReader
from ingest.adapters.cells import parse_object, parse_time
from ingest.adapters.fields import Fields, read_status
from tallystick.usage.reader import read_fields

NAME = "openai-batch"


def read_row(row: Row) -> list[SourceEvent]:
    fields = Fields(row, adapter=NAME, adapter_version="1", ingress="telemetry", provider="openai")
    id = fields.identity("id")
    response = parse_object(fields.take("response"))
    body, error = parse_object(response.get("body")), parse_object(fields.take("error"))
    fields.usage(read_fields(body) or {"usage_source": "missing"})
    fields.data["service_tier"] = "batch"
    fields.data["purpose"] = "batch"
    fields.text("model", body.get("model"), "response.body.model")
    fields.text("operation", str(body.get("object") or "").partition(".")[0] or None, "response.body.object")
    fields.attributes(parse_object(body.get("metadata")))
    status = "error" if error else read_status(response.get("status_code"))
    if status is not None:
        fields.data["status"] = status
    fields.text("error_code", (error or parse_object(body.get("error"))).get("code"), "error.code")
    time = parse_time(body.get("created", body.get("created_at")))
    return [SourceEvent(id, time, fields.finish(skip=("custom_id",)))]


FORMAT = Format(
    name=NAME,
    known_by="an object with id, custom_id, response, error (JSONL)",
    recognises=lambda head: head.has("id", "custom_id", "response", "error"),
    rows=RowSource(
        lambda name: StatelessReader(read_row),
        USAGE_FIELDS | {"provider", "service_tier", "purpose"},
        may_lack_time=True,
    ),
)
