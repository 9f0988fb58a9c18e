"""Data types and lists of columns that a statement holds as text, where the engine reads more than types (pure).

``b UInt8, a String ALIAS file('…')`` is a list of columns to the engine, and reads a file. Only names and types pass
here, in one linear reading.
"""

import re
from collections.abc import Container

MAX_DEPTH = 32
"""Types within types. The engine's own reading takes seconds for many thousand."""

_TOKEN = re.compile(
    r"(?P<space>\s++)"
    r"|(?P<literal>[-+]?\d++|'(?:[^'\\]|\\.|'')*+')"
    r"|(?P<word>[A-Za-z_]\w*+)"
    r"|(?P<name>`(?:[^`\\]|\\.)*+`|\"(?:[^\"\\]|\\.)*+\")"
    r"|(?P<sign>[(),=])",
    re.ASCII | re.DOTALL,
)


def is_type_text(text: str, types: Container[str]) -> bool:
    """Say whether a text holds nothing but data types, each of ``types`` (in lower case) and with or without a name
    before it, and what a type takes in parentheses: numbers, strings, other types."""
    words: list[str] = []  # of the element that is being read; a quoted name is an empty one
    has_literal = is_closed = False
    depth = position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            return False
        position = token.end()
        match token.lastgroup:
            case "space":
                continue
            case "literal":
                if words or is_closed:
                    return False
                has_literal = True
            case "word" | "name":
                if has_literal or is_closed:
                    return False
                words.append(token.group().lower() if token.lastgroup == "word" else "")
            case _ if token.group() == "=":
                if not has_literal:
                    return False
            case _:
                if words and not _is_column(words, types):
                    return False
                if token.group() == "(" and not words:
                    return False
                depth += {"(": 1, ")": -1}.get(token.group(), 0)
                words, has_literal, is_closed = [], False, token.group() == ")"
                if not 0 <= depth <= MAX_DEPTH:
                    return False
    return depth == 0 and (not words or _is_column(words, types))


def _is_column(words: list[str], types: Container[str]) -> bool:
    """A type may have several words (``double precision``), and one more before them is a name."""
    return " ".join(words) in types or " ".join(words[1:]) in types
