"""How the embedded warehouse refuses: with ClickHouse's words and codes."""

import re

_CODE = re.compile(r"Code: (\d+)")


class QueryFailed(Exception):
    """What ClickHouse said, with its code."""

    def __init__(self, said: str) -> None:
        if "std::bad_alloc" in said:  # of the kernel's limit, where the engine's own did not hold
            said = "Code: 241. DB::Exception: The warehouse's ceiling of memory is reached. (MEMORY_LIMIT_EXCEEDED)"
        super().__init__(said[max(0, said.find("Code: ")) :])
        found = _CODE.search(said)
        self.code = int(found.group(1)) if found else 1001  # STD_EXCEPTION
