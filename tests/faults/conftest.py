"""Houses that end with their test."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.house import House

Build = Callable[..., House]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Starts a house; a keyword says at which point a part dies the first time: ``sink="sink.after_insert:1"``. With
    ``log`` it is on Kafka, with so many ``workers``."""
    houses: list[House] = []

    def start(log: str | None = None, workers: int = 1, **faults: str) -> House:
        houses.append(House(tmp_path / "home", faults, log, workers))
        houses[-1].start()
        return houses[-1]

    yield start
    for house in houses:
        house.kill()


@pytest.fixture
def log(kafka: str) -> str:
    """A log of its own on the run's broker."""
    return f"kafka://{kafka}/{uuid.uuid4()}"
