"""How names are written (pure): each is seen, no two look alike by what is invisible, and each can be read back.

Whatever shows nothing, or turns the text around it, stands as its code point: ``⟦U+200B⟧``. So does the bracket itself:
what stands in brackets was never said by an event. Absent and all others are two such words, and no name is either."""

import re
import unicodedata

NONE, OTHER = "⟦none⟧", "⟦other⟧"
MAX_SHOWN = 200
MAX_MARKS = 2
"""Combining marks in a row, as languages need them; more of them paint over other lines."""
_SPELLED = re.compile(r"⟦U\+([0-9A-F]{4,6})⟧")
_HIDDEN_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u180b\u180c\u180d\u180f")
"""Letters and marks that have no ink, though their category does not say so."""


def spell(name: str) -> str:
    """Write a name; the empty one is that of what has none. ``read`` is its inverse."""
    if not name:
        return NONE
    written: list[str] = []
    marks = MAX_MARKS  # a mark with no letter before it stands on the text before the name
    for index, sign in enumerate(name):
        is_mark = unicodedata.category(sign).startswith("M")
        marks = marks + 1 if is_mark else 0
        lone_space = sign == " " and 0 < index < len(name) - 1 and name[index - 1] != " "
        shown = (sign == " " and lone_space) or (sign != " " and not _is_hidden(sign) and marks <= MAX_MARKS)
        written.append(sign if shown else f"⟦U+{ord(sign):04X}⟧")
    return "".join(written)


def read(text: str) -> str:
    """The name that is written so; the empty one for what has none."""
    return "" if text == NONE else _SPELLED.sub(lambda found: _sign(found[1], found[0]), text)


def shorten(text: str, length: int = MAX_SHOWN) -> str:
    """Write any text for people, and not more of it than they read; the empty one stays empty."""
    if len(text) > length:
        return f"{spell(text[:length])}… ({len(text):,} characters)"
    return spell(text) if text else ""


def escape_json(text: str) -> str:
    """JSON text with the same signs as JSON's own escapes; line ends and spaces between its values stay."""
    return "".join(
        sign if sign in "\n ⟦" or not _is_hidden(sign)
        else sign.encode("utf-16-be", "surrogatepass").hex(" ", 2).replace(" ", "\\u").join(("\\u", ""))
        for sign in text
    )  # fmt: skip


def _is_hidden(sign: str) -> bool:
    category = unicodedata.category(sign)
    is_selector = "\ufe00" <= sign <= "\ufe0f" or "\U000e0000" <= sign <= "\U000e0fff"
    blank = (category == "Zs" and sign != " ") or sign in _BLANK
    return category in _HIDDEN_CATEGORIES or blank or is_selector or sign in "⟦"


def _sign(code: str, otherwise: str) -> str:
    number = int(code, 16)
    return chr(number) if number < 0x110000 else otherwise
