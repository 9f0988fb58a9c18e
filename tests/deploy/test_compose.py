"""What can be known of `deploy/` without Docker: that it names what there is, and asks Kafka for what the log needs."""

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

from ledger.home.free_ports import free_port
from ledger.log.kafka.cluster import cluster_of, parsed
from ledger.log.kafka.topics import apply
from ledger.settings import Settings
from tally.cli.app import app
from tally.local_kafka.broker import VERSION, Broker, Node, new_cluster_id, properties
from tests.kafka.cluster import QUICK, kafka_jars
from tests.tally.conftest import ROOT
from warehouse.client import address

COMPOSE, DOCKERFILE = ROOT / "deploy" / "compose.yaml", ROOT / "deploy" / "Dockerfile"
ADDRESSES = ("voters", "listener", "log.dirs", "node.id")
"""Of Kafka's properties: those that differ from one machine to another."""


def text() -> str:
    """The file as Docker reads it where the environment says nothing."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", COMPOSE.read_text())


FILE: dict[str, Any] = yaml.safe_load(text())
SERVICES: dict[str, Any] = FILE["services"]
OURS = {name: one for name, one in SERVICES.items() if "build" in one}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_refers_to_what_there_is(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":\d[\w.-]*$", service["image"]), "an image has a version"
    for other, how in service.get("depends_on", {}).items():
        needed = SERVICES[other]
        match how["condition"]:
            case "service_healthy":
                assert "healthcheck" in needed
            case "service_completed_successfully":
                assert needed["restart"] == "on-failure", "it ends, and is not started again when it has done its work"
            case _:
                raise AssertionError(how)
        assert "profiles" not in needed
    for mount in service.get("volumes", []):
        source, target, *_ = mount.split(":")
        assert target.startswith("/")
        assert (COMPOSE.parent / source).exists() if source.startswith(".") else source in FILE["volumes"], mount
    for port in service.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port), "nothing has a login: only this machine reaches it"


def test_every_volume_is_used() -> None:
    used = {mount.split(":")[0] for service in SERVICES.values() for mount in service.get("volumes", [])}
    assert used >= set(FILE["volumes"])


@pytest.mark.parametrize("name", OURS)
def test_a_command_and_its_settings_are_ours(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = OURS[name]
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
    assert address(settings) == (
        "http://clickhouse:8123", clickhouse["CLICKHOUSE_USER"], clickhouse["CLICKHOUSE_PASSWORD"]
    )  # fmt: skip
    for port in service.get("ports", []):
        assert str(settings.bind) == "0.0.0.0", "else no port of the container answers"
        ours = (settings.dashboards_port, settings.api_port)
        assert int(port.split(":")[-1]) in (*ours, *map(_number, service["command"]))


def _number(word: str) -> int:
    return int(word) if word.isdigit() else -1


@pytest.mark.parametrize("name", [name for name, one in OURS.items() if "healthcheck" in one])
def test_a_health_check_says_no_where_nothing_runs(name: str, tmp_path: Path) -> None:
    how, python, *arguments = OURS[name]["healthcheck"]["test"]
    assert (how, python) == ("CMD", "python")
    environment = os.environ | {"TALLY_HOME": str(tmp_path), "PYTHONPATH": f"{ROOT / 'sdk'}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and ("refused" in done.stderr or not done.stderr)


def test_one_sink_and_no_port_of_a_worker_on_the_machine() -> None:
    assert [one["command"] for one in OURS.values()].count(["warehouse", "sink"]) == 1
    assert "ports" not in OURS["worker"] and "container_name" not in OURS["worker"], "it can be scaled"


def kafka_properties() -> dict[str, str]:
    said = SERVICES["kafka"]["environment"]
    names = {key: key.removeprefix("KAFKA_").lower().replace("_", ".") for key in said if key.startswith("KAFKA_")}
    return {name: str(said[key]) for key, name in names.items()}


def test_kafka_is_the_one_that_the_tests_run() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{VERSION}"
    ours = properties(Node(1, Path(), Path(), 9092, {1: 9093}))
    tested = dict(line.split("=", 1) for line in ours.splitlines())
    for name, value in kafka_properties().items():
        if not any(word in name for word in ADDRESSES):
            assert tested[name] == value, name


def test_kafka_with_these_settings_takes_our_topics(tmp_path: Path) -> None:
    more = {key: value for key, value in kafka_properties().items() if not any(word in key for word in ADDRESSES)}
    node = Node(1, tmp_path / "node", tmp_path / "log", free_port(), {1: free_port()}, QUICK, more)
    broker = Broker(node, kafka_jars(), SERVICES["kafka"]["environment"].get("CLUSTER_ID") or new_cluster_id())
    try:
        broker.start()
        broker.ready()
        made = apply(parsed(f"kafka://{broker.bootstrap}/tally"))
        assert made and all(one.found is None for one in made)
        assert apply(parsed(f"kafka://{broker.bootstrap}/tally")) == []
    finally:
        broker.kill()


def instructions() -> list[tuple[str, list[str]]]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line and not line.startswith("#")]
    return [(word, rest.split()) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_installs_the_lock_and_nothing_else() -> None:
    said = instructions()
    ((base,),) = [rest for word, rest in said if word == "FROM"]
    found = re.fullmatch(r"python:3\.(\d+)-slim-\w+", base)
    assert found and 11 <= int(found[1]) <= 14
    ran = [" ".join(rest) for word, rest in said if word == "RUN"]
    assert ran[0] == "tools/setup" and not any("install" in one for one in ran[1:])
    for script in ("setup", "install"):
        for line in (ROOT / "tools" / script).read_text().splitlines():
            if "pip install" in line and "-e sdk -e ." not in line:
                assert "--require-hashes" in line


def test_the_image_holds_all_that_the_product_imports(tmp_path: Path) -> None:
    copied = [rest for word, rest in instructions() if word == "COPY"]
    for *sources, _ in copied:
        assert all((ROOT / source).exists() for source in sources), sources
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    folders = [target for source, target in (rest for rest in copied if len(rest) == 2) if (ROOT / source).is_dir()]
    assert {*packages, "sdk", "dbt", "requirements"} <= set(folders)
    for folder in folders:
        copytree(ROOT / folder, tmp_path / folder)
    program = (
        "import pkgutil, importlib\n"
        f"for name in {packages!r}:\n"
        "    for found in pkgutil.walk_packages(importlib.import_module(name).__path__, name + '.'):\n"
        "        if found.name not in ('tally.__main__', 'dashboards.app') and '.views' not in found.name:\n"
        "            importlib.import_module(found.name)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{tmp_path / 'sdk'}{os.pathsep}{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
