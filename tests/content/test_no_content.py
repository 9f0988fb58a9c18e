"""No prompt, completion, key or person's name gets beyond the intake: a home is searched for marked ones."""

import contextlib
import csv
import gzip
import io
import json
import logging
import subprocess
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ledger.home.presence import find_presence
from ledger.log import PARTITIONS, records
from ledger.log.open import open_log
from ledger.log.topics import EVENTS, TOPICS
from ledger.settings import Settings
from tallystick import Client
from tests.faults.house import House
from tests.ingest.api.conftest import Served, call, lines
from tests.ingest.spans.build import request, span, to_json, to_protobuf, wrap_attributes
from tests.sdk.usage.golden_payloads import GOLDEN
from tests.tally.conftest import COMMAND, ROOT, eventually, home_environment, invoke, tally
from tests.warehouse.plugin import InstallWarehouse
from warehouse.client import connect

PROMPT, COMPLETION, KEY = "QZXMARKEDprompt how do I", "QZXMARKEDcompletion you should", "sk-QZXMARKEDkey-0123456789"
PERSON = "QZXMARKEDperson@example.com"
FILES = ROOT / "tests" / "ingest" / "adapters" / "golden"
MARK, SEEN = "QZXMARKED", "a team that is kept"
"""Long enough to stand nowhere by chance: packed prices are half a megabyte of any bytes."""

MESSAGES = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": [{"text": COMPLETION}]}]
CONTENT: dict[str, Any] = {
    "messages": MESSAGES, "prompt_text": PROMPT, "completion": COMPLETION, "api_key": KEY, "email": PERSON,
    PROMPT: 1, "headers": {"authorization": f"Bearer {KEY}"}, "provider_usage": {"total": 1, "note": COMPLETION},
    "reported_tokens": {"input": 10, "prompt": PROMPT}, "user": PERSON, "customer": PERSON, "acting_for": [PERSON],
    "tool_arguments_hash": PROMPT, "tool_result_hash": COMPLETION, "left_out": [PROMPT, KEY, PERSON],
}  # fmt: skip
"""As applications and gateways would have it: beside what is known, in it, and as names of fields."""
KNOWN: dict[str, Any] = {
    "key": KEY, "session": f"of {PERSON}", "agent": PERSON, "team": f"Bearer {KEY}", "project": KEY, "feature": PERSON,
    "tool": KEY, "deployment": f"https://{PERSON}:{KEY}@h/?mail=QZXMARKEDperson%40example.com", "provider_account": KEY,
    "tags": {PERSON: KEY, "owner": PERSON}, "error_code": KEY, "ticket_of": PERSON,
}  # fmt: skip
"""Keys and addresses where the vocabulary takes texts."""


def good(id: str) -> dict[str, Any]:
    return call(id, **CONTENT, team=SEEN) | {"subject": PERSON, "prompt": PROMPT}


def known(id: str) -> list[dict[str, Any]]:
    """Events that enter, with a secret in each text: their identity, what is observed, and what is corrected."""
    identity = {"source": f"app of {PERSON}", "id": f"{PERSON}-{id}"}
    event = call(id, **KNOWN) | identity
    observed = {"of": identity, "session": PERSON, "evaluator": PERSON, "metric": KEY, "ticket": PERSON}
    corrected = {"action": "reversal", "of": identity, "reason": f"asked by {PERSON} with {KEY}"}
    return [
        event,
        event | {"id": f"{id}-observed", "type": "tallystick.observation.v1", "data": observed},
        event | {"id": f"{id}-corrected", "type": "tallystick.correction.v1", "data": corrected},
    ]


def bad(id: str) -> list[bytes]:
    """The same with something wrong, so that it is refused and told."""
    event = good(id)
    data = event["data"]
    return [
        json.dumps(one).encode()
        for one in (
            event | {"time": PROMPT}, event | {"type": COMPLETION}, event | {"id": PROMPT * 50},
            event | {"data": data | {"tokens": {PROMPT: 1}}}, event | {"data": data | {"tokens": PROMPT}},
            event | {"data": data | {"status": COMPLETION}}, event | {"data": data | {"claimed_cost": KEY}},
            event | {"data": data | {"team": {PROMPT: PERSON}}}, event | {"data": data | {"latency_ms": PERSON}},
            event | {"data": data | {"user": [PERSON]}}, event | {"data": PROMPT}, PROMPT, [MESSAGES], MESSAGES[0],
        )
    ] + [PROMPT.encode(), json.dumps(event).encode()[:-40], b"\xff" + KEY.encode()]  # fmt: skip


BUDGET_OF_A_PERSON = {
    "specversion": "1.0", "id": "budget", "source": "console", "time": "2026-06-01T12:00:00Z",
    "type": "tallystick.control.v1",
    "data": {
        "control": "budget.allocated", "actor": PERSON, "reason": f"asked for by {PERSON} with {KEY}",
        "evidence": [PERSON, KEY],
        "body": {"dimension": "user", "scope": PERSON, "limit": "1", "currency": "USD", "window_s": 3600},
    },
}  # fmt: skip


def over_http(served: Served) -> None:
    admin = served.bearer("write", "admin")
    assert served.send(lines(good("1"), BUDGET_OF_A_PERSON), bearer=admin).json()["accepted"] == 2
    answer = served.send(b"\n".join(bad("2")))
    assert answer.json()["refused"] == len(bad("2"))
    answer = served.send(lines(*known("8")))
    assert answer.json()["accepted"] == 3, answer.json()
    assert served.send(lines(*known("8"))).json()["accepted"] == 3  # and are duplicates, as the audit counts them
    packed = gzip.compress(lines(good("3")))
    served.send(packed[:-9] + PROMPT.encode(), Content_Encoding="gzip")
    served.send(PROMPT.encode(), kind=PROMPT)
    served.send(lines(good("4")), bearer=KEY)
    served.send(lines(good("5")), Tally_Organization="QZXMARKEDorganization")
    served.ask(f"/v1/events?prompt={MARK}", "PUT", PROMPT.encode(), Authorization=f"Bearer {KEY}")
    served.ask(f"/{MARK}/{MARK}", Authorization=f"Bearer {KEY}", Cookie=f"session={KEY}")


def by_other_formats(served: Served) -> None:
    """Send responses of a provider, and spans, with the mark in content and attributes; some of them are refused."""
    response: dict[str, Any] = {
        "id": f"chatcmpl/{PERSON}", "model": "gpt-4o", "choices": [{"message": {"content": COMPLETION}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7, PROMPT: COMPLETION}, "user": PERSON,
        "error": {"message": PROMPT}, "system_fingerprint": KEY,
    }  # fmt: skip
    headers = {
        "Tallystick-Team": SEEN,
        "Tallystick-User": PERSON,
        "Tallystick-Tags-Owner": PERSON,
        "Tallystick-Key": KEY,
    }
    sent = {"Authorization": f"Bearer {served.bearer('write')}", "Content-Type": "application/json"} | headers
    bodies: list[Any] = [response, [response, {"usage": PROMPT}, MESSAGES], {"id": PROMPT}, [COMPLETION], PROMPT]
    for body in bodies:
        assert served.ask("/v1/usage/openai_chat", "POST", json.dumps(body).encode(), 60, **sent).status in (200, 422)
    served.ask(f"/v1/usage/{MARK}", "POST", PROMPT.encode(), 60, **sent)
    attributes = {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.provider.name": "openai",
        "gen_ai.input.messages": PROMPT, "gen_ai.output.messages": COMPLETION, "gen_ai.system_instructions": PROMPT,
        "gen_ai.prompt.0.content": PROMPT, "gen_ai.completion.0.content": COMPLETION, "input.value": PROMPT,
        "llm.input_messages.0.message.content": PROMPT, "ai.prompt.messages": PROMPT, "ai.response.text": COMPLETION,
        "traceloop.entity.input": PROMPT, "gen_ai.tool.call.arguments": PROMPT, "exception.message": PROMPT,
        "metadata": json.dumps({"question": PROMPT, "user_id": PERSON}), "user.id": PERSON, "enduser.id": PERSON,
        "gen_ai.agent.name": PERSON, "error.type": KEY, "tallystick.key": KEY, "tallystick.team": SEEN,
        f"tallystick.{PROMPT}": PROMPT, f"gen_ai.usage.cache {PROMPT}": 7, "tallystick.tags.owner": PERSON,
        "traceloop.association.properties.question": PROMPT, "gen_ai.usage.details.cache_thing": COMPLETION,
    }  # fmt: skip
    spans = [
        span(1, attributes), span(2, attributes | {"gen_ai.response.id": PROMPT * 50}),
        span(3, attributes | {"gen_ai.usage.input_tokens": COMPLETION, "gen_ai.response.id": KEY}),
    ]  # fmt: skip
    spans[2].events.add(name=PROMPT).attributes.extend(wrap_attributes(attributes))
    spans[1].start_time_unix_nano = 0
    message = request(spans, {"service.name": f"of {PERSON}", "host.name": PROMPT})
    for content, kind in ((to_protobuf(message), "application/x-protobuf"), (to_json(message), "application/json")):
        kinds = sent | {"Content-Type": kind}
        assert served.ask("/v1/traces", "POST", content, 60, **kinds).status == 200
        assert served.ask("/v1/traces", "POST", content[:-9] + PROMPT.encode(), 60, **kinds).status == 400


def by_the_client(served: Served) -> None:
    spool = served.settings.home.parent / "spool"
    client = Client(served.address.geturl(), served.bearer("write"), source="app", spool=spool)
    said = {name: value for name, value in CONTENT.items() if name not in ("provider_usage", "reported_tokens")}
    assert client.record(model="gpt-4o", usage={"usage": {"prompt_tokens": 1, "note": PROMPT}, "id": KEY}, **said)
    for golden in GOLDEN:
        payload = json.loads(json.dumps(golden.payload, ensure_ascii=False).replace("…", PROMPT))
        assert client.record(model="gpt-4o", usage=payload, **said)
        with client.call(model="gpt-4o", **said) as call:
            for chunk in payload if isinstance(payload, list) else [payload, {"delta": PROMPT, "service_tier": PROMPT}]:
                call.usage(chunk)
    assert client.record(model=[PROMPT]) and client.record(tokens={PROMPT: 1}), "without them"
    assert client.record(**KNOWN)
    client.observe(session=f"of {KEY}", metric="m", value="1")
    with client.call(model="gpt-4o", **said), contextlib.suppress(ValueError):
        raise ValueError(PROMPT)
    assert client.flush(60)
    client.close()
    left = [file.read_bytes() for file in spool.rglob("*") if file.is_file()]
    assert MARK.encode() not in b"".join(left)


OPTIONS = ["--set", f"user={PERSON}", "--set", f"session={KEY}", "--source", f"file of {PERSON}", "--set", f"key={KEY}"]


def mapped_file() -> tuple[bytes, str]:
    """A table with content in each column, also in those that hold no text, and its mapping."""
    columns = ["id", "at", "model", "in", "calls", "cost", "latency", "status", "user", "note", "messages"]
    good = {"id": "m1", "at": "2026-01-05T12:00:00Z", "model": "m", "in": "5", "calls": "2"}
    rows = [
        good | {"cost": PROMPT, "latency": COMPLETION, "status": PROMPT, "user": PERSON, "note": KEY},
        *({**good, "id": f"m-{column}", column: PROMPT} for column in ("at", "in", "calls")),
        {**good, "id": "m5", "note": f"of {PERSON}", "messages": json.dumps({"text": PROMPT, "n": COMPLETION})},
        {**good, "id": f"{PERSON}-{KEY}", "in": KEY, "note": PROMPT * 20},
    ]  # fmt: skip
    cells = io.StringIO()
    writer = csv.DictWriter(cells, columns)
    writer.writeheader()
    writer.writerows(rows)
    fields = "{model: model, claimed_cost: cost, latency_ms: latency, status: status, user: user, attempt: messages.n}"
    return cells.getvalue().encode(), (
        "{format: csv, source: mapped, id: [id, model], time: {column: at}, tags: {note: note}, calls: calls, "
        f"fields: {fields}, tokens: {{input: in}}, optional: [messages.n]}}"
    )


def by_import(served: Served) -> None:
    folder = served.settings.home.parent
    azure = b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:17:03.9799600,5,%b\r\n%b\r\n"
    mooncake = {"timestamp": 1, "input_length": 5, "output_length": 6, "hash_ids": [1, 2]}
    files = {
        "events.ndjson": b"\n".join([lines(good("6"), *known("9")), *bad("7")]),
        "azure.csv": azure % (KEY.encode(), f"{PROMPT},{PERSON},{COMPLETION}".encode()),
        "mooncake.jsonl": lines(mooncake | {"text": PROMPT}, mooncake | {"output_length": COMPLETION}),
    }
    files["mapped.csv"], mapping = mapped_file()
    (folder / "map.yaml").write_text(mapping)
    options = {"events.ndjson": [], "mapped.csv": ["--mapping", str(folder / "map.yaml")]}
    for name, content in files.items():
        (folder / name).write_bytes(content)
        done = subprocess.run(
            [*COMMAND, "import", str(folder / name), *options.get(name, OPTIONS)],
            cwd=ROOT, env=home_environment({"TALLY_HOME": str(served.settings.home)}), capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stderr.decode()


def by_import_of_exports(served: Served) -> None:
    """Import every file of every source of whole events. Their content bears the same mark."""
    files = sorted(path for path in FILES.glob("*/*") if path.name != "expected.json")
    assert sum(MARK in path.read_text() for path in files) > len(files) // 2
    done = subprocess.run(
        [*COMMAND, "import", *map(str, files), "--json"],
        cwd=ROOT, env=home_environment({"TALLY_HOME": str(served.settings.home)}), capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert MARK not in done.stdout.decode() + done.stderr.decode()
    assert {file["format"] for file in json.loads(done.stdout)["files"]} == {folder.name for folder in FILES.iterdir()}


@pytest.fixture
def up(tmp_path: Path, install_warehouse: InstallWarehouse) -> Iterator[Served]:
    """The whole product."""
    served = Served(install_warehouse(tmp_path / "home"))
    environment = {
        "TALLY_HOME": str(served.settings.home), "TALLY_API_PORT": "0", "TALLY_DASHBOARDS_PORT": "0",
        "TALLY_WAREHOUSE_PORT": "0", "TALLY_METRICS_PORT": "0",
    }  # fmt: skip
    with (tmp_path / "up.log").open("wb") as output:
        served.process = subprocess.Popen(
            [*COMMAND, "up"], cwd=ROOT, env=home_environment(environment), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        eventually(lambda: "In another terminal" in (tmp_path / "up.log").read_text(), 120)
        served.address = urllib.parse.urlsplit((find_presence(served.settings.home, "api") or {})["url"])
        yield served
    finally:
        served.process.terminate()
        served.process.wait(60)


def test_nothing_that_was_marked_is_found_anywhere(up: Served, caplog: pytest.LogCaptureFixture) -> None:
    over_http(up)
    by_other_formats(up)
    by_import(up)
    by_import_of_exports(up)
    with caplog.at_level(logging.DEBUG, "tallystick"):
        by_the_client(up)
    assert MARK not in caplog.text
    House(up.settings.home).settle()
    places = {
        "log": on_the_log(up.settings), "warehouse": in_the_warehouse(up.settings),
        "files": in_files(up.settings.home), "metrics": in_metrics(up),
    }  # fmt: skip
    for place, texts in places.items():
        found = {where for where, text in texts if MARK.lower() in text.lower()}
        assert not found, (place, found)
    for place in ("log", "warehouse"):  # that there was something to be found
        assert any(SEEN in text for _, text in places[place]), place
    assert refused_by_api(up.settings).keys() >= {"http", "import"}
    names_and_an_erasure(up.settings, verified(up.settings))


def names_and_an_erasure(settings: Settings, before: object) -> None:
    """A person's name stands in the table of names and nowhere else; and not there, once it is erased."""
    files = list(settings.home.glob("persons.db*"))
    assert KEY.encode() not in b"".join(path.read_bytes() for path in files)
    assert PERSON.encode() in b"".join(path.read_bytes() for path in files)
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    done = tally("subject", "erase", PERSON, "--organization", "acme", "--yes", TALLY_HOME=str(settings.home))
    assert done.returncode == 0 and "the name is erased" in done.stdout, done.stderr
    done = invoke("subject", "erase", PERSON, "--organization", "default", "--yes", TALLY_HOME=str(settings.home))
    assert "the name is erased" in done.stdout, done.stderr
    assert PERSON.encode() not in b"".join(path.read_bytes() for path in settings.home.glob("persons.db*"))
    assert verified(settings) == before


def verified(settings: Settings) -> object:
    """What the audit finds in all; of what was counted nothing may change."""
    House(settings.home).settle()
    done = invoke("verify", "--json", TALLY_HOME=str(settings.home))
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout)
    return said["events"], said["difference"]


Texts = list[tuple[str, str]]
"""Where, and what stands there."""


def on_the_log(settings: Settings) -> Texts:
    with closing(open_log(settings)) as log:
        return [
            (f"{topic.name}/{number}/{record.offset}", f"{record.key}{record.headers}{record.value.decode()}")
            for topic in TOPICS
            if topic.name != "tally.documents"  # packed prices, from no intake
            for number in range(PARTITIONS)
            for record in records(log, topic, number)
        ]


def refused_by_api(settings: Settings) -> Counter[str]:
    with closing(open_log(settings)) as log:
        found = [record.headers for number in range(PARTITIONS) for record in records(log, EVENTS, number)]
    return Counter(one["channel"] for one in found if int(one["refused"]))


def in_the_warehouse(settings: Settings) -> Texts:
    """Every row of every table that is not ClickHouse's own, and what the engine noted of queries."""
    client = connect(settings)
    tables = client.query(
        "select database, name from system.tables where engine not in ('MaterializedView', 'Null') "
        "and (database not in ('system', 'INFORMATION_SCHEMA', 'information_schema') or name like '%log')"
    ).result_rows
    return [
        (f"{database}.{name}", line)
        for database, name in tables
        for line in client.raw_query(f"select * from {database}.{name} format JSONEachRow").decode().splitlines()
    ]


def in_files(home: Path) -> Texts:
    """All that a home holds, and what its product printed; but for the imported files, which were never ours."""
    files = [path for path in home.rglob("*") if path.is_file() and not path.is_relative_to(home / "warehouse")]
    files = [path for path in files if not path.name.startswith("persons.db")]  # where names belong
    return [(str(path), path.read_bytes().decode(errors="replace")) for path in [*files, home.parent / "up.log"]]


def in_metrics(up: Served) -> Texts:
    metrics = (find_presence(up.settings.home, "metrics") or {})["url"]
    with urllib.request.urlopen(metrics) as answer:
        return [("metrics", answer.read().decode()), ("api", up.ask("/metrics").body.decode())]
