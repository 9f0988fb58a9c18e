"""``python -m tallystick`` prints the JSON Schema of an event."""

import json

from tallystick.vocabulary.event import ANY_EVENT

print(json.dumps(ANY_EVENT.json_schema(), indent=1, sort_keys=True))
