"""What a statement is, as far as the front must know before the engine reads it (pure)."""

import re
from typing import NamedTuple

STREAMED = frozenset(("native", "rowbinary", "jsoneachrow"))
"""Chunks of these formats concatenate to one answer; others have a head and a tail."""

_GAP = rb"(?:\s|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*+\*/)"  # a comment can be read in one way only
_NAME = rb"(?:`[^`]+`|\"[^\"]+\"|\w+)"
_INSERT = re.compile(
    rb"%(g)s*(?:with\b.*?)?\binsert%(g)s+into%(g)s+(?:table%(g)s+)?(%(n)s(?:%(g)s*\.%(g)s*%(n)s)?)"
    % {b"g": _GAP, b"n": _NAME},
    re.I | re.S,
)
_READS = re.compile(rb"%(g)s*+(?:\(%(g)s*+)*+(?:select|with)\b" % {b"g": _GAP}, re.I | re.S)
_FORMAT = re.compile(rb"\bformat\s+(\w+)\s*(?:settings\b[^;]*)?;?\s*$", re.I)
HEAD = 1 << 16  # an INSERT names its table, and a SELECT its format, within so many bytes of an end


class Statement(NamedTuple):
    """``format`` is its answer's. ``streams``: the answer can be sent while it is made. ``fills``: the table that an
    INSERT fills, without its database; None for whatever else."""

    sql: bytes
    format: str
    streams: bool
    fills: str | None


def read(sql: bytes, default_format: str) -> Statement:
    """Tell what the text asks for. Whether it can be run is the engine's to say."""
    insert = _INSERT.match(sql, 0, HEAD)
    if insert:
        return Statement(sql, default_format, False, _last_name(insert.group(1)))
    said = _FORMAT.search(sql, max(0, len(sql) - HEAD))
    format = said.group(1).decode() if said else default_format
    return Statement(sql, format, bool(_READS.match(sql, 0, HEAD)) and format.lower() in STREAMED, None)


def _last_name(name: bytes) -> str:
    last: bytes = re.findall(_NAME, name)[-1]
    return last.strip(b'`"').decode(errors="replace")
