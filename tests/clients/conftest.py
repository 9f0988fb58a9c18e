"""A running HTTP API and a stub of the providers, for the tests of real clients."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LITELLM_TELEMETRY"] = "False"
MARK = "QZXMARKED"


class Ledger:
    """The API in the platform's environment: its address, a token, and what it stored."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        start = json.loads(self._read_line())
        self.url, self.bearer, self._admin_bearer = start["url"], start["bearer"], start["admin_bearer"]

    def list_events(self, source: str) -> list[dict[str, Any]]:
        """Return what stands on the log of a source, or of its incarnations. No content may be in it."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._read_line()
        assert MARK not in line
        return [event for event in json.loads(line) if event["source"].partition("/")[0] == source]

    def give(self, team: str, *limits: dict[str, Any], control: str = "grant.created", **body: Any) -> None:
        """Give a grant to the team of its name, or change it."""
        created = {"dimension": "team", "scope": team, "limits": limits} if control == "grant.created" else {}
        event = {
            "specversion": "1.0", "id": str(uuid.uuid4()), "source": "console", "type": "tallystick.control.v1",
            "time": "2026-06-01T12:00:00Z", "data": {"control": control, "body": {"grant": team} | created | body},
        }  # fmt: skip
        headers = {"Authorization": f"Bearer {self._admin_bearer}", "Content-Type": "application/cloudevents+json"}
        answer = httpx.post(f"{self.url}/v1/events", json=event, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text

    def release(self, admission: str) -> int:
        """Release an admission, and return the status: 200 where something was reserved, else 404."""
        headers = {"Authorization": f"Bearer {self.bearer}"}
        return httpx.delete(f"{self.url}/v1/admissions/{admission}", headers=headers, timeout=60).status_code

    def _read_line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline()


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    home = tmp_path_factory.mktemp("ledger") / "home"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TALLY_", "PYTHON"))}
    process = subprocess.Popen(
        [ROOT / ".venv/bin/python", Path(__file__).with_name("api_process.py"), home],
        env=environment | {"PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Ledger(process)
    finally:
        assert process.stdin
        process.stdin.close()
        process.wait(60)


@pytest.fixture(scope="session")
def provider() -> Iterator[str]:
    import stub_provider

    with stub_provider.served() as url:
        yield url


@pytest.fixture
def client(ledger: Ledger, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The client of one test, whose source has the test's name."""
    from tallystick import Client

    client = Client(ledger.url, ledger.bearer, source=request.node.name, spool=tmp_path / "spool")
    yield client
    client.close()


@pytest.fixture
def recorded(ledger: Ledger, client: Any, request: pytest.FixtureRequest) -> Any:
    """Return a function that delivers what the client recorded, and returns its data."""

    def read() -> list[dict[str, Any]]:
        assert client.flush(30) and client.counts.dropped == client.counts.refused == 0, client.counts
        return [event["data"] for event in ledger.list_events(request.node.name)]

    return read
