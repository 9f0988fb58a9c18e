"""Figures of `tally status`."""

from pathlib import Path

from ledger.home.disk import bytes_in


def test_holes_in_files_take_nothing_on_the_disk(tmp_path: Path) -> None:
    """Kafka's index files are mostly that."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "written").write_bytes(b"x" * 100_000)
    with (tmp_path / "hollow").open("wb") as file:
        file.truncate(1 << 30)
    assert 100_000 <= bytes_in(tmp_path) < 1 << 20
    assert bytes_in(tmp_path / "nowhere") == 0
