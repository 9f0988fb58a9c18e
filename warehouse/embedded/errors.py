"""Errors of the embedded warehouse, with ClickHouse's words and codes."""

import re

TOO_MANY_QUERIES_CODE = 202

_CODE = re.compile(r"Code: (\d+)")


class QueryFailed(Exception):
    """An error of ClickHouse, with its code."""

    def __init__(self, message: str) -> None:
        if "std::bad_alloc" in message:  # the kernel's limit applied before the engine's own
            message = "Code: 241. DB::Exception: The warehouse's memory limit is reached. (MEMORY_LIMIT_EXCEEDED)"
        super().__init__(message[max(0, message.find("Code: ")) :])
        match = _CODE.search(message)
        self.code = int(match.group(1)) if match else 1001  # STD_EXCEPTION


def build_busy_error(reason: str) -> QueryFailed:
    """Build the error of a statement that may be sent again later."""
    return QueryFailed(
        f"Code: {TOO_MANY_QUERIES_CODE}. DB::Exception: Too many simultaneous queries: {reason}. "
        "(TOO_MANY_SIMULTANEOUS_QUERIES)"
    )
