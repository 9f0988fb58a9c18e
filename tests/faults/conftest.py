"""Houses and small disks that end with their test."""

import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.house import House

Build = Callable[..., House]


class Disk:
    """A small disk of memory at a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no byte free, and no file to be made."""
        with self._filler.open("wb", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self._filler.unlink()

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)


MountDisk = Callable[[Path, str], Disk]
"""Mounts a small disk at a new folder, with options of tmpfs: ``size=12m``."""


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Starts a house; a keyword says at which point a part dies the first time: ``sink="sink.after_insert:1"``. With
    ``log`` it is on Kafka, with so many ``workers``; with ``has_api`` it answers over HTTP."""
    houses: list[House] = []

    def start(log: str | None = None, workers: int = 1, has_api: bool = False, **faults: str) -> House:
        houses.append(House(tmp_path / "home", faults, log, workers, has_api=has_api))
        houses[-1].start()
        return houses[-1]

    yield start
    for house in houses:
        house.kill()


@pytest.fixture
def log(kafka: str) -> str:
    """A log of its own on the run's broker."""
    return f"kafka://{kafka}/{uuid.uuid4()}"


@pytest.fixture
def mount_disk() -> Iterator[MountDisk]:
    with ExitStack() as mounted:

        def mount(folder: Path, options: str) -> Disk:
            folder.mkdir(parents=True)
            command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                pytest.skip(f"NOT RUN: a small disk takes the right to mount one ({done.stderr.strip()})")
            mounted.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
            return Disk(folder)

        yield mount
