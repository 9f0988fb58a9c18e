"""The spool's files and locks, of which several processes share a folder."""

import fcntl
from pathlib import Path

import pytest

from tallystick.client.spool import Spool, orphans


def test_a_spool_that_is_being_made_is_nobodys_orphan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process looks for orphans when the lock stands there, and is not held yet."""
    looks: list[str] = []

    def late(descriptor: int, operation: int) -> None:
        if not looks:
            looks.append("now")
            assert list(orphans(tmp_path)) == []
        flock(descriptor, operation)

    flock = fcntl.flock
    monkeypatch.setattr("tallystick.client.spool.fcntl.flock", late)
    spool = Spool(tmp_path, "app-1", 1 << 20)
    spool.append(b"{}\n")
    assert looks and list(orphans(tmp_path)) == [], "it is held"
    spool.close(empty=False)
    assert list(orphans(tmp_path)) == [[tmp_path / "app-1.00000001.ndjson"]]
