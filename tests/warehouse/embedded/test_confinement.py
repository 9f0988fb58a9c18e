"""What the kernel keeps the warehouse's process from, whatever the engine is talked into: so asked as `tally`, who may
ask anything."""

import ctypes
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from ledger.errors import TallyError
from ledger.home.presence import find_presence
from tests.warehouse.conftest import Front
from tests.warehouse.requests import as_analyst, as_writer
from warehouse.embedded import confinement, process
from warehouse.embedded.analyst import entrance
from warehouse.embedded.confinement import MAX_MEMORY_BYTES, landlock_abi, split_paths_around

MARK = "the-content-of-a-file"

needs_landlock = pytest.mark.skipif(landlock_abi() == 0, reason="NOT TESTED: this kernel has no Landlock")


def test_a_folder_that_holds_the_home_is_granted_without_it(tmp_path: Path) -> None:
    home = tmp_path / "a" / "home"
    home.mkdir(parents=True)
    (tmp_path / "a" / "beside").touch()
    (tmp_path / "b").mkdir()
    assert sorted(split_paths_around(tmp_path, home)) == [tmp_path / "a" / "beside", tmp_path / "b"]
    assert list(split_paths_around(home / "inside", home)) == []
    assert list(split_paths_around(tmp_path / "b", home)) == [tmp_path / "b"]


@needs_landlock
def test_nothing_of_the_home_or_the_machine_is_read(front: Front, tmp_path: Path) -> None:
    (tmp_path / "a").write_text(MARK)
    (front.settings.home / "log").mkdir(exist_ok=True)
    (front.settings.home / "log" / "recorded.db").write_text(MARK)
    home = front.settings.home
    for path in (
        tmp_path / "a", home / "secrets.json", home / "run" / "warehouse.json", home / "log" / "recorded.db",
        Path("/etc/passwd"), Path(f"/proc/{os.getpid()}/environ"),
    ):  # fmt: skip
        said = as_writer(front, f"SELECT * FROM file('{path}', 'LineAsString')")
        assert said.status != 200 and MARK not in said.text, path
    said = as_writer(front, f"SELECT 1 INTO OUTFILE '{home}/run/x'")
    assert said.status != 200 and (not (home / "run" / "x").exists() or not (home / "run" / "x").read_text())


@needs_landlock
def test_no_connection_is_opened(front: Front) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        said = as_writer(front, f"SELECT * FROM url('http://127.0.0.1:{port}/', 'CSV', 'a String')", http_max_tries="1")
        assert said.status != 200
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_it_holds_no_credentials_of_its_environment(front: Front) -> None:
    environment = Path(f"/proc/{front.process.pid}/environ").read_text()
    assert "TALLY_" not in environment
    assert "LC_ALL=C.UTF-8" in environment  # else Python may move it, and the engine looks behind it
    assert find_presence(front.settings.home, "warehouse")["confinement"]["landlock_abi"] == landlock_abi()  # type: ignore[index]


def test_its_memory_has_a_ceiling(front: Front) -> None:
    """It refuses, or it ends and is started again; either way it has never had more."""
    peak = 0
    for _ in range(2):
        try:
            as_writer(front, "SELECT length(printf('%2100000000d', 1))")
        except OSError:
            break
        peak = max(peak, peak_bytes(front))
    assert peak < MAX_MEMORY_BYTES + (300 << 20)
    deadline = time.monotonic() + 5
    while front.process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    if front.process.poll() is not None:
        front.start()
    assert as_writer(front, "SELECT 1").text == "1\n"


def peak_bytes(front: Front) -> int:
    status = Path(f"/proc/{front.process.pid}/status").read_text()
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) << 10 if lines else 0


def test_a_statement_that_takes_long_to_read_is_ended_and_keeps_nobody_waiting(front: Front) -> None:
    said = as_analyst(front, "SELECT " + "CASE WHEN 1 THEN " * 14_000)
    assert (said.status, said.code) == (408, "159")
    assert as_writer(front, "SELECT 1").text == "1\n"
    assert as_analyst(front, "SELECT 1").text == "1\n"


def test_a_thousand_half_sent_requests_keep_the_product_out_for_no_time(front: Front) -> None:
    address = ("127.0.0.1", front.facts["port"])
    heads = (
        b"",
        b"POST / HTTP/1.1\r\nHost: localhost",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\nx",
    )
    sockets = []
    try:
        for number in range(300):
            sockets.append(socket.create_connection(address, timeout=30))
            sockets[-1].sendall(heads[number % 3])
        assert as_writer(front, "SELECT 1").text == "1\n"
        files = {path.name for path in (front.settings.run / "warehouse").iterdir() if path.is_file()}
        assert files <= {entrance.FILE}, "no body of theirs is kept"
    finally:
        for one in sockets:
            one.close()


@pytest.mark.parametrize("readonly", ["0", "1", "2"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_link_never_writes_whatever_it_carries(front: Front, method: str, readonly: str) -> None:
    for sql in (
        "CREATE TABLE linked (a Int8) ENGINE = Memory", "SELECT 1; CREATE TABLE linked (a Int8) ENGINE = Memory",
        "SELECT 1 INTO OUTFILE 'linked'", "SET readonly = 0", "DROP TABLE tally.migrations",
    ):  # fmt: skip
        said = as_writer_by(front, method, sql, readonly)
        assert said in (400, 403), (sql, said)
    assert as_writer(front, "EXISTS linked").text == "0\n"


def as_writer_by(front: Front, method: str, sql: str, readonly: str) -> int:
    from tests.warehouse.requests import ask

    return ask(front, front.facts, b"", method, query=sql, readonly=readonly).status


def test_threads_that_run_already_are_refused(tmp_path: Path) -> None:
    """In this process there may be some; if not, the one that is started here is."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        with pytest.raises(TallyError, match="threads already"):
            confinement.confine(tmp_path, ())
    finally:
        over.set()
        thread.join()


def test_a_kernel_that_refuses_is_told() -> None:
    with pytest.raises(TallyError, match=r"cannot be confined with Landlock .* look which"):
        confinement._call_kernel(confinement._RESTRICT_SELF, ctypes.c_int(-1), ctypes.c_uint32(0))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "warehouse").touch()
    with pytest.raises(TallyError, match=r"warehouse cannot be made .* move away"):
        process._make_folder(tmp_path / "warehouse")
