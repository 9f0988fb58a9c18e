"""The identity of a row that several columns name. Pure."""

import hashlib
from collections.abc import Sequence

MAX_LENGTH = 256
"""Characters of an event's id."""
SEPARATOR = ","
_ESCAPES = str.maketrans({"\\": "\\\\", SEPARATOR: "\\" + SEPARATOR})
_HASH_DIGITS = 32


def join_identity(parts: Sequence[str]) -> str:
    """Join the parts of a key into one id, so that two keys of as many parts are never one id.

    A sole part stays as it is. Several are joined by commas; a comma or a backslash within a part is escaped by a
    backslash, so that ``("a", "b,c")`` and ``("a,b", "c")`` differ. An absent part is an empty text. An id of more than
    ``MAX_LENGTH`` characters keeps its beginning and ends in a hash of the whole. The same parts give the same id in
    every version: it is the identity of events on the log. A comma stands in no e-mail address, so the intake still
    recognizes one in a part. ValueError without parts.
    """
    if not parts:
        raise ValueError("an identity needs a part")
    text = parts[0] if len(parts) == 1 else SEPARATOR.join(part.translate(_ESCAPES) for part in parts)
    if len(text) <= MAX_LENGTH:
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_HASH_DIGITS]
    return f"{text[: MAX_LENGTH - _HASH_DIGITS - 1]}~{digest}"
