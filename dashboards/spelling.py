"""The spelling of names (pure): every name is visible, differs visibly from others, and can be read back.

Invisible characters, and those that reverse the text, are written as code points: ``⟦U+200B⟧``. So is the bracket, so
that a word in brackets is never an event's. An absent name and the other names are two such words."""

import re
import unicodedata

ABSENT_NAME, OTHER_NAMES = "⟦none⟧", "⟦other⟧"
MAX_SHOWN = 200
MAX_MARKS = 2
"""Combining marks in a row, as languages need them; more of them paint over other lines."""
_SPELLED = re.compile(r"⟦U\+([0-9A-F]{4,6})⟧")
_HIDDEN_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u180b\u180c\u180d\u180f")
"""Letters and marks that have no ink, though their category does not say so."""


def spell(name: str) -> str:
    """Write a name; the empty one becomes the sign of an absent name. ``read_name`` is the inverse."""
    if not name:
        return ABSENT_NAME
    parts: list[str] = []
    mark_count = MAX_MARKS  # a mark with no letter before it stands on the text before the name
    for index, character in enumerate(name):
        is_mark = unicodedata.category(character).startswith("M")
        mark_count = mark_count + 1 if is_mark else 0
        lone_space = character == " " and 0 < index < len(name) - 1 and name[index - 1] != " "
        is_plain = (character == " " and lone_space) or (
            character != " " and not _is_hidden(character) and mark_count <= MAX_MARKS
        )
        parts.append(character if is_plain else f"⟦U+{ord(character):04X}⟧")
    return "".join(parts)


def read_name(text: str) -> str:
    """Return the name behind its spelling; empty for the sign of an absent name."""
    return "" if text == ABSENT_NAME else read_part(text)


def read_part(text: str) -> str:
    """Return a part of a name behind its spelling, as a search has it; the sign of an absent name stays."""
    return _SPELLED.sub(lambda match: _decode(match[1], match[0]), text)


def shorten(text: str, length: int = MAX_SHOWN) -> str:
    """Write any text, cut to a length; the empty text stays empty."""
    if len(text) > length:
        return f"{spell(text[:length])}… ({len(text):,} characters)"
    return spell(text) if text else ""


def escape_json(text: str) -> str:
    """Return JSON text with the same characters as JSON's own escapes; line ends and spaces between values stay."""
    return "".join(
        character if character in "\n ⟦" or not _is_hidden(character)
        else character.encode("utf-16-be", "surrogatepass").hex(" ", 2).replace(" ", "\\u").join(("\\u", ""))
        for character in text
    )  # fmt: skip


def _is_hidden(character: str) -> bool:
    category = unicodedata.category(character)
    is_selector = "\ufe00" <= character <= "\ufe0f" or "\U000e0000" <= character <= "\U000e0fff"
    is_blank = (category == "Zs" and character != " ") or character in _BLANK
    return category in _HIDDEN_CATEGORIES or is_blank or is_selector or character in "⟦"


def _decode(code: str, fallback: str) -> str:
    number = int(code, 16)
    return chr(number) if number < 0x110000 else fallback
