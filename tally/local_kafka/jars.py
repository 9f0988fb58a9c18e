"""Apache Kafka's jars: the pinned list (``kafka.lock``), and their download, once a machine."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext, PythonResolver
from requests import RequestException

from ledger.errors import TallyError
from ledger.home.locks import locked

LOCK = Path(__file__).with_name("kafka.lock")
"""A line a jar: its Maven coordinates, bytes, and SHA-256. A jar with another hash never runs."""

ReportBytes = Callable[[int, int], None]
"""Called during the download with the bytes received and the total."""


class Jar(NamedTuple):
    group: str
    name: str
    version: str
    size: int
    sha256: str


def list_jars() -> list[Jar]:
    """Read the pinned jars: those that Maven resolves for ``kafka_2.13``, and a logger."""
    jars = []
    for line in LOCK.read_text().splitlines():
        coordinates, size, sha256 = line.split()
        group, name, version = coordinates.split(":")
        jars.append(Jar(group, name, version, int(size), sha256))
    return jars


def ensure_jars(report: ReportBytes) -> list[Path]:
    """Return the jars' paths in Maven's own folder (``~/.m2/repository``), which all homes share.

    Missing jars are downloaded. TallyError where one cannot be."""
    jgo_settings = GlobalSettings.load()  # jgo.conf may name another folder, and mirrors
    jars, folder = list_jars(), jgo_settings.repo_cache
    paths = {jar: folder.joinpath(*jar.group.split("."), jar.name, jar.version, _file(jar)) for jar in jars}
    if not all(_is_intact(paths[jar], jar) for jar in jars):
        with locked(folder / "tallystick.lock"):  # two first starts at once would read half-written files
            missing = [jar for jar in jars if not _is_intact(paths[jar], jar)]
            _download(missing, paths, jgo_settings, report)
    return list(paths.values())


def _download(missing: list[Jar], paths: dict[Jar, Path], jgo_settings: GlobalSettings, report: ReportBytes) -> None:
    total, received = sum(jar.size for jar in missing), 0
    remotes = {"central": MAVEN_CENTRAL_URL} | jgo_settings.repositories

    def follow_file(_name: str, _size: int) -> AbstractContextManager[Callable[[int], None]]:
        @contextmanager
        def context() -> Iterator[Callable[[int], None]]:
            yield add

        return context()

    def add(count: int) -> None:
        nonlocal received
        received += count
        report(received, total)

    maven = MavenContext(PythonResolver(progress_callback=follow_file), jgo_settings.repo_cache, remote_repos=remotes)
    for jar in missing:
        paths[jar].unlink(missing_ok=True)  # left by an interrupted download
        try:
            maven.project(jar.group, jar.name).at_version(jar.version).artifact().resolve()
        except (RequestException, RuntimeError) as error:  # no connection; no such file there
            raise _unreachable(jar, jgo_settings, remotes, type(error).__name__) from error
        if not _is_intact(paths[jar], jar):
            raise _unreachable(jar, jgo_settings, remotes, "its SHA-256 is not the expected one")


def _unreachable(jar: Jar, jgo_settings: GlobalSettings, remotes: dict[str, str], cause: str) -> TallyError:
    return TallyError(
        f"cannot download Apache Kafka's {_file(jar)} from {' or '.join(remotes.values())} ({cause}): connect this "
        f"machine for its first start, name a mirror as `central` under [repositories] in ~/.config/jgo.conf, or copy "
        f"{jgo_settings.repo_cache} from a machine that has started Kafka"
    )


def _file(jar: Jar) -> str:
    return f"{jar.name}-{jar.version}.jar"


def _is_intact(path: Path, jar: Jar) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False
