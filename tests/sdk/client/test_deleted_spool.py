"""A spool that somebody deletes, replaces or locks while it is in use: nothing is lost in silence."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tallystick import Client
from tallystick.client.spool import Spool, read_lines
from tests.ingest.api.conftest import Served
from tests.sdk.conftest import group_by_source, read_inferences
from tests.tally.conftest import eventually

NOWHERE = "http://127.0.0.1:9"
"""Nobody listens on it."""


@pytest.fixture
def client(tmp_path: Path) -> Any:
    client = Client(NOWHERE, "t", source="app", spool=tmp_path / "spool")
    yield client
    client.close(0)


def folder_of(client: Client) -> Path:
    return client._folder


def delete_folder(folder: Path) -> None:
    shutil.rmtree(folder)


def delete_files(folder: Path) -> None:
    for file in folder.glob("*.ndjson"):
        file.unlink()


def delete_lock_and_files(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def replace_file(folder: Path) -> None:
    for file in folder.glob("*.ndjson"):
        file.rename(folder.parent / "elsewhere")
        file.write_bytes(b"of somebody else\n")


@pytest.mark.parametrize("damage", [delete_folder, delete_files, delete_lock_and_files, replace_file])
def test_what_stands_in_the_open_file_is_kept(
    client: Client, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        assert client.record(model="m", feature=str(number))
    damage(folder_of(client))
    for number in range(5, 10):
        assert client.record(model="m", feature=str(number))
    spool_content = b"".join(file.read_bytes() for file in sorted(folder_of(client).glob("*.ndjson")))
    assert [line.split(b'"feature":"')[1][:1] for line in spool_content.splitlines()] == [b"%d" % n for n in range(10)]
    assert list(folder_of(client).glob("*.lock")), "or nobody would adopt it after this process"
    counts = client.counts
    assert (counts.recorded, counts.dropped, counts.lost, counts.pending) == (10, 0, 0, 10)
    assert caplog.text.count("were deleted while it was in use, and no event is lost") == 1


def test_it_is_noticed_without_a_further_call(
    api_server: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread makes the folder again and delivers what the open file holds, and new events follow."""
    token, address = api_server.bearer("write"), api_server.address.geturl()
    api_server.kill()
    client = Client(address, token, source="app", spool=tmp_path / "spool")
    ids = [client.record(model="m") for _ in range(20)]
    shutil.rmtree(folder_of(client))
    api_server.start()
    ids += [client.record(model="m")]
    assert client.flush(60)
    assert [event["id"] for event in group_by_source(read_inferences(api_server))[client.source]] == ids
    assert client.counts == (21, 21, 0, 0, 0, 0)
    shutil.rmtree(folder_of(client))
    eventually(lambda: client.flush(1) and folder_of(client).is_dir())
    assert client.record(model="m") and client.flush(60)
    client.close()
    assert "were deleted" in caplog.text


def test_closed_files_that_are_gone_are_lost_and_counted(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    tags = {f"tag-{number}": "x" * 200 for number in range(32)}
    while len(list(folder_of(client).glob("*.ndjson"))) < 3:
        assert client.record(model="m", tags=tags)
    first, second, last = sorted(folder_of(client).glob("*.ndjson"))
    lost_events = len(first.read_bytes().splitlines()) + len(second.read_bytes().splitlines())
    recorded = client.counts.recorded
    shutil.rmtree(folder_of(client))
    assert client.record(model="m")
    assert client.counts.lost == lost_events and client.counts.pending == recorded + 1 - lost_events
    assert last.exists() and "events are lost" in caplog.text
    assert not client.flush(0.1)


@pytest.mark.parametrize("block", ["a file", "a read-only folder", "a full disk"])
def test_where_it_cannot_be_made_again_nothing_gets_an_id(
    client: Client, block: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.record(model="m")
    folder = folder_of(client)
    if block != "a file":  # before the folder goes, as the client looks after it in a thread of its own
        number = {"a read-only folder": 30, "a full disk": 28}[block]
        monkeypatch.setattr(Path, "mkdir", _make_failing(OSError(number, os.strerror(number))))
    shutil.rmtree(folder)
    if block == "a file":
        folder.write_bytes(b"")
    assert client.record(model="m") is None and client.record(model="m") is None
    assert client.counts.recorded == 1 and client.counts.dropped == 2 and client.counts.pending == 1
    assert "cannot be written" in caplog.text
    monkeypatch.undo()
    if block == "a file":
        folder.unlink()
    assert client.record(model="m"), "what stood in the open file is kept until it can be made again"
    (file,) = folder.glob("*.ndjson")
    assert len(file.read_bytes().splitlines()) == 2 and client.counts.lost == 0


def _make_failing(error: OSError) -> Callable[..., None]:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    return fail


def test_a_disk_that_is_full_when_it_is_made_again_leaves_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "spool"
    spool = Spool(folder, "i", 1 << 20)
    spool.append(b"first\n")
    shutil.rmtree(folder)
    with monkeypatch.context() as full:
        full.setattr(os, "write", _make_failing(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            spool.append(b"second\n")
    assert not list(folder.glob("*.ndjson"))
    spool.append(b"second\n")
    assert spool.current.read_bytes() == b"first\nsecond\n"
    spool.close(empty=True)


def test_what_cannot_be_made_again_is_delivered_from_the_open_file(
    api_server: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token, address = api_server.bearer("write"), api_server.address.geturl()
    api_server.kill()
    client = Client(address, token, source="app", spool=tmp_path / "spool")
    ids = [client.record(model="m") for _ in range(20)]
    shutil.rmtree(tmp_path / "spool")
    (tmp_path / "spool").write_bytes(b"")
    api_server.start()
    assert client.flush(60)
    assert [event["id"] for event in group_by_source(read_inferences(api_server))[client.source]] == ids
    assert client.counts == (20, 20, 0, 0, 0, 0)
    assert "is gone and cannot be restored, nothing more is recorded" in caplog.text
    with caplog.at_level(logging.CRITICAL):
        client.close(0)


def test_a_delivered_file_that_cannot_be_deleted_is_sent_once(
    api_server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(api_server.address.geturl(), api_server.bearer("write"), source="app", spool=tmp_path / "spool")
    tags = {f"tag-{number}": "x" * 200 for number in range(32)}
    monkeypatch.setattr(Path, "unlink", _make_failing(OSError(30, "Read-only file system")))
    for _ in range(100):  # more than one file of the spool
        assert client.record(model="m", tags=tags)
    assert client.flush(60) and client.flush(60)
    assert client.counts == (100, 100, 0, 0, 0, 0) and len(read_inferences(api_server)) == 100
    assert "is delivered and cannot be deleted" in caplog.text
    monkeypatch.undo()
    client.close()


def test_lines_of_a_descriptor(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"one\ntwo\nhalf")
    descriptor = os.open(file, os.O_RDONLY)
    assert read_lines(descriptor, 0, 5) == ([b"one"], 4)
    assert read_lines(descriptor, 0, 1) == ([b"one"], 4)
    assert read_lines(descriptor, 4, 100) == ([b"two"], 8)
    assert read_lines(descriptor, 8, 100) == ([], 8)
    os.close(descriptor)
