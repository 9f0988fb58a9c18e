"""Documented payloads, with the fields that they are to give: a folder a form, a file a payload.

``source`` names the provider's documentation; where it shows no numbers, they are ours. ``expected`` holds the fields
of the inference, with classes worked out by hand; ``model`` is the model that was asked for, where a form needs it.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parent / "golden"


class Golden(NamedTuple):
    """A payload, and the fields that it is to give."""

    form: str
    name: str
    payload: Any
    model: str | None
    expected: dict[str, Any]


def read_golden() -> list[Golden]:
    """Read every golden payload."""
    payloads = []
    for path in sorted(FOLDER.rglob("*.json")):
        document = json.loads(path.read_text())
        assert document["source"].startswith("https://"), path
        payloads.append(
            Golden(path.parent.name, path.stem, document["payload"], document.get("model"), document["expected"])
        )
    return payloads


GOLDEN = read_golden()
IDS = [f"{golden.form}-{golden.name}" for golden in GOLDEN]
