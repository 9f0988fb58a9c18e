"""What a long import takes: memory stays what it is, whatever the length of the file."""

from pathlib import Path

import pytest

from tests.faults.house import House
from tests.faults.input import trace

SHORT, LONG = 1_000_000, 3_000_000  # by the first the engine has what it will keep
MB = 1 << 20
MAX_BYTES = 1 << 30


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_three_million_events_take_hardly_more_memory_than_one(tmp_path: Path) -> None:
    short, long = (peaks(tmp_path / str(lines), lines) for lines in (SHORT, LONG))
    for name, peak in long.items():
        allowed = min(1.25 * short[name] + 64 * MB, MAX_BYTES)
        assert peak <= allowed, f"{name}: {short[name] // MB} MB for {SHORT:,} events, {peak // MB} MB for {LONG:,}"


def peaks(folder: Path, lines: int) -> dict[str, int]:
    """The most memory that each process ever held, in bytes."""
    folder.mkdir()
    house = House(folder / "home")
    house.start()
    most: dict[str, int] = {}

    def look() -> None:
        for name, process in house.running.items():
            status = Path(f"/proc/{process.pid}/status").read_text()
            if "VmHWM:" in status:  # a process that has ended tells none
                most[name] = int(status.split("VmHWM:")[1].split()[0]) * 1024

    try:
        summary = house.bring(trace(folder / "trace.csv", lines), "--set", "model=gpt-4o", meanwhile=look)
        assert summary["counted"] == lines
        house.settle(meanwhile=look)
    finally:
        house.kill()
    print({name: f"{peak // MB} MB" for name, peak in most.items()})
    return most
