"""Houses that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.house import House

Build = Callable[..., House]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Starts a house; a keyword says at which point a part dies the first time: ``sink="sink.after_insert:1"``."""
    houses: list[House] = []

    def start(**faults: str) -> House:
        houses.append(House(tmp_path / "home", faults))
        houses[-1].start()
        return houses[-1]

    yield start
    for house in houses:
        house.kill()
