"""CloudEvents of our own vocabulary, one a line: they say who they are, and enter as they came."""

from ingest.adapters.adapter import Format
from ingest.intake.intake import decode


def _recognises(first: bytes) -> bool:
    try:
        event = decode(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(event, dict) and str(event.get("type")).startswith("tallystick.")


FORMAT = Format(
    name="cloudevents",
    known_by='an object with "type": "tallystick.….v1" (NDJSON)',
    recognises=_recognises,
)
