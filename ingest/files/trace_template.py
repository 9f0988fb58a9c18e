"""Events that differ in id, time and tokens alone: what they share is validated and written once."""

import secrets
from collections.abc import Iterable
from datetime import datetime

from pydantic import TypeAdapter, ValidationError

from ingest.adapters.adapter import MOST
from ingest.intake.intake import sealed
from ingest.intake.privacy import Data
from ingest.intake.rejection import Refused
from tallystick.vocabulary.base import LATEST, Time
from tallystick.vocabulary.inference import Tokens

_TIME: TypeAdapter[datetime] = TypeAdapter(Time)
_TOKENS = TypeAdapter(Tokens)


class Frame:
    """The canonical form of a shared event with its gaps. ``line`` gives the same bytes as ``door.sealed``.

    A trace has some fields of eighty, and asking for all of them on every line took half of an import.
    """

    def __init__(self, shared: Data, classes: Iterable[str]) -> None:
        """``shared`` lacks id, time and tokens, and is cleaned. Raises Refused where it is no event."""
        id = secrets.token_hex(16)
        tokens = dict.fromkeys(sorted(classes), MOST)
        data = shared["data"] | {"tokens": tokens}
        line, _ = sealed(shared | {"id": id, "time": LATEST.replace(year=LATEST.year - 1), "data": data})
        written = ",".join(f'"{name}":{MOST}' for name in tokens)
        gaps = ",".join(f'"{name}":%({name})d' for name in tokens)
        time = _TIME.dump_python(LATEST.replace(year=LATEST.year - 1))
        # The quotes of a name and its colon stand in no string, so each gap is found once.
        self._form = (
            line.decode()
            .replace("%", "%%")
            .replace(f'"id":"{id}"', '"id":"%(id)s"')
            .replace(f'"time":"{time}","type"', '"time":"%(time)s","type"')
            .replace(f'"tokens":{{{written}}}', f'"tokens":{{{gaps}}}')
        )

    def line(self, id: str, time: datetime, tokens: dict[str, int]) -> bytes:
        """One event. Raises Refused where its time is out of bounds."""
        try:
            written = _TIME.dump_python(_TIME.validate_python(time))
        except ValidationError:
            raise Refused("time", "must lie between 2000 and 2200") from None
        counted = _TOKENS.validate_python(tokens)
        return (self._form % (counted | {"id": id, "time": written})).encode()
