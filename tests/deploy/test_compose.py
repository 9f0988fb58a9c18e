"""Checks of `deploy/` without Docker: its names exist, and its Kafka has the settings that the log needs."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ledger.home.ports import find_free_port
from ledger.log.kafka.cluster import cluster_of, parse_cluster
from ledger.log.kafka.topics import apply_topics
from ledger.settings import Settings
from tally.cli.app import app
from tally.local_kafka.broker import VERSION, Broker, Node, make_cluster_id, properties
from tests.kafka.cluster import QUICK, kafka_jars
from tests.tally.conftest import ROOT
from warehouse.client import find_address

COMPOSE, DOCKERFILE = ROOT / "deploy" / "compose.yaml", ROOT / "deploy" / "Dockerfile"
ADDRESSES = ("voters", "listener", "log.dirs", "node.id")
"""Properties of Kafka that differ from one machine to another."""


def read_compose() -> str:
    """The file as Docker reads it where the environment says nothing."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", COMPOSE.read_text())


FILE: dict[str, Any] = yaml.safe_load(read_compose())
SERVICES: dict[str, Any] = FILE["services"]
OWN_SERVICES = {name: service for name, service in SERVICES.items() if "build" in service}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_refers_to_what_there_is(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":\d[\w.-]*$", service["image"]), "an image has a version"
    for name_needed, dependency in service.get("depends_on", {}).items():
        needed_service = SERVICES[name_needed]
        match dependency["condition"]:
            case "service_healthy":
                assert "healthcheck" in needed_service
            case "service_completed_successfully":
                assert needed_service["restart"] == "on-failure", (
                    "it ends, and is not started again when it has done its work"
                )
            case _:
                raise AssertionError(dependency)
        assert "profiles" not in needed_service
    for mount in service.get("volumes", []):
        source, target, *_ = mount.split(":")
        assert target.startswith("/")
        assert (COMPOSE.parent / source).exists() if source.startswith(".") else source in FILE["volumes"], mount
    for port in service.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port), "nothing has a login: only this machine reaches it"


def test_every_volume_is_used() -> None:
    used = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert used >= set(FILE["volumes"])


@pytest.mark.parametrize("name", OWN_SERVICES)
def test_a_command_and_its_settings_are_ours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = OWN_SERVICES[name]
    words = [word for word in service["command"] if not word.startswith("-") and not word.isdigit()]
    assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0
    environment = service["environment"]
    assert {key.removeprefix("TALLY_").lower() for key in environment} <= Settings.model_fields.keys()
    for key, value in environment.items():
        monkeypatch.setenv(key, str(value))
    settings = Settings()
    assert [server.split(":")[0] for server in cluster_of(settings).servers] == ["kafka"]
    advertised = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert advertised.endswith(f"//{cluster_of(settings).servers[0]}")
    clickhouse = SERVICES["clickhouse"]["environment"]
    assert find_address(settings) == (
        "http://clickhouse:8123", clickhouse["CLICKHOUSE_USER"], clickhouse["CLICKHOUSE_PASSWORD"]
    )  # fmt: skip
    for port in service.get("ports", []):
        assert str(settings.bind) == "0.0.0.0", "else no port of the container answers"
        own_ports = (settings.dashboards_port, settings.api_port)
        assert int(port.split(":")[-1]) in (*own_ports, *map(_number, service["command"]))


def _number(word: str) -> int:
    return int(word) if word.isdigit() else -1


@pytest.mark.parametrize("name", [name for name, service in OWN_SERVICES.items() if "healthcheck" in service])
def test_a_health_check_says_no_where_nothing_runs(name: str, tmp_path: Path) -> None:
    form, python, *arguments = OWN_SERVICES[name]["healthcheck"]["test"]
    assert (form, python) == ("CMD", "python")
    environment = os.environ | {"TALLY_HOME": str(tmp_path), "PYTHONPATH": f"{ROOT / 'sdk'}{os.pathsep}{ROOT}"}
    result = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 1 and ("refused" in result.stderr or not result.stderr)


def test_one_sink_and_no_port_of_a_worker_on_the_machine() -> None:
    assert [service["command"] for service in OWN_SERVICES.values()].count(["warehouse", "sink"]) == 1
    assert "ports" not in OWN_SERVICES["worker"] and "container_name" not in OWN_SERVICES["worker"], "it can be scaled"


def read_kafka_properties() -> dict[str, str]:
    environment = SERVICES["kafka"]["environment"]
    names = {
        key: key.removeprefix("KAFKA_").lower().replace("_", ".") for key in environment if key.startswith("KAFKA_")
    }
    return {name: str(environment[key]) for key, name in names.items()}


def test_kafka_is_the_one_that_the_tests_run() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{VERSION}"
    rendered = properties(Node(1, Path(), Path(), 9092, {1: 9093}))
    tested = dict(line.split("=", 1) for line in rendered.splitlines())
    for name, value in read_kafka_properties().items():
        if not any(word in name for word in ADDRESSES):
            assert tested[name] == value, name


def test_kafka_with_these_settings_takes_our_topics(tmp_path: Path) -> None:
    own_properties = {
        key: value for key, value in read_kafka_properties().items() if not any(word in key for word in ADDRESSES)
    }
    node = Node(1, tmp_path / "node", tmp_path / "log", find_free_port(), {1: find_free_port()}, QUICK, own_properties)
    broker = Broker(node, kafka_jars(), SERVICES["kafka"]["environment"].get("CLUSTER_ID") or make_cluster_id())
    try:
        broker.start()
        broker.wait_until_ready()
        changes = apply_topics(parse_cluster(f"kafka://{broker.bootstrap}/tally"))
        assert changes and all(change.found is None for change in changes)
        assert apply_topics(parse_cluster(f"kafka://{broker.bootstrap}/tally")) == []
    finally:
        broker.kill()


def read_instructions() -> list[tuple[str, list[str]]]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line and not line.startswith("#")]
    return [(word, arguments.split()) for word, _, arguments in (line.partition(" ") for line in lines)]


def test_the_image_installs_the_lock_and_nothing_else() -> None:
    steps = read_instructions()
    ((base,),) = [arguments for word, arguments in steps if word == "FROM"]
    match = re.fullmatch(r"python:3\.(\d+)-slim-\w+", base)
    assert match and 11 <= int(match[1]) <= 14
    commands = [" ".join(arguments) for word, arguments in steps if word == "RUN"]
    assert commands[0] == "tools/setup" and not any("install" in command for command in commands[1:])
    for script in ("setup", "install"):
        for line in (ROOT / "tools" / script).read_text().splitlines():
            if "pip install" in line and "-e sdk -e ." not in line:
                assert "--require-hashes" in line


def test_the_image_holds_all_that_the_product_imports(tmp_path: Path) -> None:
    copied = [arguments for word, arguments in read_instructions() if word == "COPY"]
    for *sources, _ in copied:
        assert all((ROOT / source).exists() for source in sources), sources
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    folders = [
        target
        for source, target in (arguments for arguments in copied if len(arguments) == 2)
        if (ROOT / source).is_dir()
    ]
    assert {*packages, "sdk", "dbt", "requirements"} <= set(folders)
    for folder in folders:
        copytree(ROOT / folder, tmp_path / folder)
    program = (
        "import pkgutil, importlib\n"
        f"for name in {packages!r}:\n"
        "    for found in pkgutil.walk_packages(importlib.import_module(name).__path__, name + '.'):\n"
        "        if found.name not in ('tally.__main__', 'dashboards.app.main'):\n"  # they run when they are imported
        "            importlib.import_module(found.name)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path / 'sdk'}{os.pathsep}{tmp_path}"}
    result = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
