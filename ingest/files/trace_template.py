"""Events that differ in id, time and tokens alone: their common part is validated and serialized once."""

import secrets
from collections.abc import Iterable
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from ingest.intake.intake import seal_event
from ingest.intake.privacy import Data
from ingest.intake.rejection import Rejection
from ledger.inference_fields import MAX_COUNT
from tallystick.vocabulary.base import LATEST, Time
from tallystick.vocabulary.inference import Tokens

_TIME: TypeAdapter[datetime] = TypeAdapter(Time)
_TOKENS = TypeAdapter(Tokens)


class Frame:
    """The canonical form of a template event with gaps. ``line`` gives the same bytes as ``seal_event``.

    A trace has few of eighty fields, and validating all of them for every line took half of an import.
    """

    def __init__(self, template: Data, classes: Iterable[str]) -> None:
        """Validate ``template``, which is cleaned and has no id, time or tokens yet. Raises Rejection where it is no
        event."""
        id = secrets.token_hex(16)
        tokens = dict.fromkeys(sorted(classes), MAX_COUNT)
        data = template["data"] | {"tokens": tokens}
        line, _ = seal_event(template | {"id": id, "time": LATEST.replace(year=LATEST.year - 1), "data": data})
        placeholder = ",".join(f'"{name}":{MAX_COUNT}' for name in tokens)
        gaps = ",".join(f'"{name}":%({name})d' for name in tokens)
        time = _TIME.dump_python(LATEST.replace(year=LATEST.year - 1))
        # The quotes of a name and its colon stand in no string, so each gap is found once.
        self._line_format = (
            line.decode()
            .replace("%", "%%")
            .replace(f'"id":"{id}"', '"id":"%(id)s"')
            .replace(f'"time":"{time}","type"', '"time":"%(time)s","type"')
            .replace(f'"tokens":{{{placeholder}}}', f'"tokens":{{{gaps}}}')
        )

    def line(self, id: str, time: datetime, tokens: dict[str, int]) -> bytes:
        """Return one event. Raises Rejection where its time is out of bounds."""
        try:
            time_text = _TIME.dump_python(_TIME.validate_python(time))
        except ValidationError:
            raise Rejection("time", "must lie between 2000 and 2200") from None
        counts = _TOKENS.validate_python(tokens)
        return (self._line_format % (counts | {"id": id, "time": time_text})).encode()
