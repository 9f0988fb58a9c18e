"""The identity of a line: its hash, and its occurrence among equal lines of the file."""

import hashlib
import sqlite3


class Occurrences:
    """Counts equal lines in a temporary file of SQLite's, so memory does not grow with the input."""

    def __init__(self) -> None:
        self._file = sqlite3.connect("", isolation_level=None)
        self._cursor = self._file.cursor()
        self._cursor.execute("PRAGMA cache_size=-16384")
        self._cursor.execute("PRAGMA journal_mode=OFF")
        self._cursor.execute("CREATE TABLE seen (hash INTEGER PRIMARY KEY, times INTEGER)")
        self._cursor.execute("BEGIN")

    def identity(self, line: bytes) -> str:
        """Return the hash of the line's bytes, and its occurrence from 1 among the equal lines so far."""
        digest = hashlib.blake2b(line, digest_size=16).digest()
        # Half of the hash counts. Were two lines ever to share it, one would count on from the other.
        half = int.from_bytes(digest[:8], "big", signed=True)
        times = 1
        if not self._cursor.execute("INSERT OR IGNORE INTO seen VALUES (?, 1)", (half,)).rowcount:
            statement = "UPDATE seen SET times = times + 1 WHERE hash = ? RETURNING times"
            ((times,),) = self._cursor.execute(statement, (half,))
        return f"{digest.hex()}-{times}"

    def close(self) -> None:
        self._file.close()
