"""What a gate is given, asked and decides: the HTTP API with a worker of the folds (`conftest.py`)."""

import json
from contextlib import closing
from typing import Any

from ledger.log import partition_of, records
from ledger.log.open import open_log
from ledger.log.topics import DECISIONS
from tests.ingest.api.conftest import Answer, Served, call

JSON = "application/json"


def give(server: Served, name: str, *limits: dict[str, Any], control: str = "grant.created", **body: Any) -> None:
    """Give a grant to the team of its name."""
    grant = {"grant": name, "dimension": "team", "scope": name, "limits": list(limits)} | body
    if control != "grant.created":
        grant = {"grant": name} | body
    data = {"control": control, "actor": "boss", "body": grant}
    event = call(f"{control} {name}") | {"type": "tallystick.control.v1", "data": data}
    assert server.send(json.dumps(event).encode(), JSON, server.bearer("admin")).status == 200


def calls(amount: int, **fields: Any) -> dict[str, Any]:
    return {"meter": "calls", "amount": amount} | fields


def ask(server: Served, *asks: dict[str, Any], bearer: str | None = None) -> Answer:
    content = json.dumps(asks[0] if len(asks) == 1 else asks).encode()
    headers = {"Authorization": f"Bearer {bearer or server.bearer('write')}", "Content-Type": JSON}
    return server.ask("/v1/admissions", "POST", content, 60, **headers)


def release(server: Served, admission: str) -> Answer:
    headers = {"Authorization": f"Bearer {server.bearer('write')}"}
    return server.ask(f"/v1/admissions/{admission}", "DELETE", None, 60, **headers)


def list_decisions(server: Served, *names: str) -> list[dict[str, Any]]:
    """List the bodies of decisions of these names."""
    with closing(open_log(server.settings)) as log:
        lines = [
            json.loads(line)
            for record in records(log, DECISIONS, partition_of("acme"))
            for line in record.value.split(b"\n")
        ]
    return [json.loads(line["body"]) for line in lines if line["decision"] in names]
