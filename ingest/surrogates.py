r"""Repair JSON whose texts were cut within a character beyond the basic plane. Pure.

Programs in JavaScript cut texts by UTF-16 units, and write the half that is left as a lone escape (``\ud83d``), which
no UTF-8 has. Such a text is content: it must not cost the call beside it.
"""

import re

_ESCAPES = re.compile(
    rb"\\\\"  # a backslash of its own, before what looks like an escape
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair
    rb"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
_LONE_LENGTH = len(rb"\ud83d")
REPLACEMENT = rb"\ufffd"


def repair_surrogates(raw: bytes) -> bytes:
    """Return JSON with every lone surrogate replaced by the replacement character; pairs stay."""
    if b"\\ud" not in raw and b"\\uD" not in raw:
        return raw
    return _ESCAPES.sub(lambda match: REPLACEMENT if len(match[0]) == _LONE_LENGTH else match[0], raw)


def repair_text(text: str) -> str:
    """Do the same to JSON in a text, such as a cell."""
    if "\\ud" not in text and "\\uD" not in text:
        return text
    return repair_surrogates(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")
