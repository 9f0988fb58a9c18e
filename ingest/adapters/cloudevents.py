"""CloudEvents of the project's vocabulary, one a line. They carry their own identity and are read unchanged."""

from ingest.adapters.adapter import Format
from ingest.adapters.head import Head
from ingest.intake.intake import decode


def _recognises(head: Head) -> bool:
    try:
        event = decode(head.first)
    except (ValueError, RecursionError):
        return False
    return isinstance(event, dict) and str(event.get("type")).startswith("tallystick.")


FORMAT = Format(
    name="cloudevents",
    known_by='an object with "type": "tallystick.….v1" (NDJSON)',
    recognises=_recognises,
)
