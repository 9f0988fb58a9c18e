"""How Kafka's jars come to a machine: whole and unaltered, or not at all."""

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ledger.errors import TallyError
from tally.local_kafka import jars
from tally.local_kafka.jars import Jar, ensure_jars, list_jars
from tests.kafka.cluster import kafka_jars


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a mirror that the machine's settings name, with one small jar; nothing is there yet otherwise."""
    (tmp_path / "mirror").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "mirror"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "jgo.conf").write_text(f"[repositories]\ncentral = http://127.0.0.1:{server.server_port}\n")
        monkeypatch.setenv("JGO_CONFIG_FILE", str(tmp_path / "jgo.conf"))
        monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
        yield tmp_path / "mirror"
        server.shutdown()


@pytest.fixture
def jar(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Jar:
    """The one jar of this test's lock, which the mirror has."""
    content = b"classes" * 5_000
    one = Jar("org.small", "small", "1.0", len(content), hashlib.sha256(content).hexdigest())
    path = mirror / "org" / "small" / "small" / "1.0" / "small-1.0.jar"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    monkeypatch.setattr(jars, "list_jars", lambda: [one])
    return one


def test_what_is_missing_or_was_cut_is_brought_once(jar: Jar, mirror: Path, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    (path,) = ensure_jars(lambda done, total: heard.append((done, total)))
    assert path.is_relative_to(tmp_path / "m2") and path.stat().st_size == jar.size
    assert heard[-1] == (jar.size, jar.size) and len(heard) > 1
    path.write_bytes(path.read_bytes()[:100])  # as a kill leaves it
    heard.clear()
    assert ensure_jars(lambda done, total: heard.append((done, total))) == [path]
    assert heard[-1] == (jar.size, jar.size) and path.stat().st_size == jar.size
    (mirror / "org" / "small" / "small" / "1.0" / "small-1.0.jar").unlink()
    heard.clear()
    assert ensure_jars(lambda done, total: heard.append((done, total))) == [path]
    assert heard == []


def test_what_is_not_what_was_pinned_never_runs(jar: Jar, mirror: Path) -> None:
    (mirror / "org" / "small" / "small" / "1.0" / "small-1.0.jar").write_bytes(b"something else")
    with pytest.raises(TallyError, match=r"cannot download .*small-1\.0\.jar from http://127.* SHA-256 is not"):
        ensure_jars(lambda done, total: None)


def test_a_mirror_that_lacks_it_is_named(jar: Jar, mirror: Path) -> None:
    (mirror / "org" / "small" / "small" / "1.0" / "small-1.0.jar").unlink()
    with pytest.raises(TallyError, match=r"small-1\.0\.jar from http://127.*connect this machine"):
        ensure_jars(lambda done, total: None)


def test_the_lock_is_all_of_kafka_once() -> None:
    found = list_jars()
    assert len({jar[:2] for jar in found}) == len(found) == len(kafka_jars())
    assert {"kafka_2.13", "kafka-clients", "slf4j-simple"} <= {jar.name for jar in found}
    assert {jar.version for jar in found if jar.group == "org.apache.kafka"} == {"4.3.0"}
