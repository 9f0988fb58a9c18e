"""Parse a statement as far as the HTTP interface needs before the engine reads it (pure).

The text is cut into tokens, each byte read once: an expression that backtracks takes the square of a statement's
length, and holds the interpreter's lock meanwhile.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

STREAMABLE_FORMATS = frozenset(("native", "rowbinary", "jsoneachrow"))
"""Chunks of these formats concatenate to one answer; others have a head and a tail."""

MAX_STATEMENT_BYTES = 256 << 10
"""The engine's ``max_query_size``; the data of an INSERT may follow."""

_TOKEN = re.compile(
    rb"""
      (?P<gap>    (?: \s++ | --[^\n]*+ | \#[!\ ][^\n]*+ | /\*(?:[^*]++|\*(?!/))*+(?:\*/)?+ )++ )
    | (?P<word>   \w++ )
    | (?P<name>   `(?:[^`\\]++|\\.)*+`?+ | "(?:[^"\\]++|\\.)*+"?+ )
    | (?P<text>   '(?:[^'\\]++|\\.)*+'?+ )
    | (?P<sign>   \(++ | [^\w\s`"'/\-\#(.;]++ | . )
    """,
    re.S | re.X,
)

_INSERT = re.compile(rb"insert", re.I)
_OUTPUT = re.compile(rb"format|outfile", re.I)


class Statement(NamedTuple):
    """A statement and the format of its answer.

    ``is_streamable``: the answer can be sent while it is made. ``target_table``: the table of an INSERT, without its
    database; None for other statements. ``is_file_output``: the answer goes into a file.
    """

    sql: bytes
    format: str
    is_streamable: bool
    target_table: str | None
    is_file_output: bool


class _Token(NamedTuple):
    """A token. ``text`` is in lower case where it is a word."""

    kind: str
    text: bytes
    raw: bytes

    @property
    def is_name(self) -> bool:
        return self.kind in ("word", "name")


_END = _Token("end", b"", b"")


def parse_statement(sql: bytes, default_format: str) -> Statement:
    """Parse a statement. Its validity is for the engine to judge."""
    tokens = _tokenize(sql)
    first = next((token for token in tokens if not token.text.startswith(b"(")), _END)
    if first.text in (b"insert", b"with") and _INSERT.search(sql, 0, MAX_STATEMENT_BYTES):
        table = _find_insert_table(first, tokens)
        if table is not None:
            return Statement(sql, default_format, False, table, False)
    format, is_file_output = _find_output(sql) if _OUTPUT.search(sql, 0, MAX_STATEMENT_BYTES) else (None, False)
    format = format or default_format
    is_streamable = first.text in (b"select", b"with") and format.lower() in STREAMABLE_FORMATS
    return Statement(sql, format, is_streamable, None, is_file_output)


def _tokenize(sql: bytes) -> Iterator[_Token]:
    for match in _TOKEN.finditer(sql, 0, MAX_STATEMENT_BYTES):
        kind = str(match.lastgroup)
        if kind != "gap":
            raw = match.group()
            yield _Token(kind, raw.lower() if kind == "word" else raw, raw)


def _find_insert_table(first: _Token, tokens: Iterator[_Token]) -> str | None:
    """Find ``INSERT INTO [TABLE] [database.]table``, at the beginning or after a WITH."""
    previous, token = first, next(tokens, _END)
    while (previous.text, token.text) != (b"insert", b"into"):
        if token is _END or first.text == b"insert":
            return None
        previous, token = token, next(tokens, _END)
    name = next(tokens, _END)
    if name.text == b"table":
        name = next(tokens, _END)
    while name.is_name:
        if next(tokens, _END).text != b".":
            return name.raw.strip(b'`"').decode(errors="replace")
        name = next(tokens, _END)
    return None


def _find_output(sql: bytes) -> tuple[str | None, bool]:
    """Return the format that ends the text, before SETTINGS, and True where it has INTO OUTFILE."""
    format: bytes | None = None
    state, previous, is_file_output = "", _END, False
    for token in _tokenize(sql):
        is_file_output = is_file_output or (previous.text, token.text) == (b"into", b"outfile")
        if token.text == b"format":
            state, format = "format", None
        elif state == "format" and token.kind == "word":
            state, format = "after", token.raw
        elif token.text == b";":
            state = "closed"
        elif state == "after" and token.text == b"settings":
            state = "settings"
        elif state != "settings":
            state, format = "", None
        previous = token
    return format.decode(errors="replace") if format else None, is_file_output
