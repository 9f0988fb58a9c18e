"""Calls of an application through the client, against a running HTTP API."""

import asyncio
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tallystick import Client, Inference
from tests.ingest.api.conftest import Served
from tests.sdk.conftest import group_by_source, list_files, read_inferences
from tests.tally.conftest import eventually

ANSWER = {"model": "gpt-4o-2024-08-06", "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}}
NOWHERE = "http://127.0.0.1:9"
"""Nobody listens on it."""


def read_calls_by_name(api_server: Served) -> dict[str, dict[str, Any]]:
    """The data of each event by the feature that it names."""
    return {event["data"].get("feature", event["id"]): event["data"] for event in read_inferences(api_server)}


def test_what_is_recorded_is_delivered_in_order_and_leaves_the_spool(
    client: Client, api_server: Served, tmp_path: Path
) -> None:
    ids = [client.record(model="gpt-4o", usage=ANSWER, team="search") for _ in range(1200)]
    assert client.flush(60)
    assert client.counts == (1200, 1200, 0, 0, 0, 0)
    events = group_by_source(read_inferences(api_server))[client.source]
    assert [event["id"] for event in events] == ids
    assert [event["sequence"] for event in events] == list(range(1, 1201))
    assert events[0]["data"]["tokens"] == {"input": 10, "output": 3}
    assert events[0]["data"]["model_resolved"] == "gpt-4o-2024-08-06"
    eventually(lambda: not list_files(tmp_path / "spool"))


def test_calls_lie_within_each_other(client: Client, api_server: Served) -> None:
    with client.session(agent="researcher", team="search") as session, session.call(model="m", feature="root") as root:
        with client.call(tool="grep", feature="inner") as inner:
            client.record(model="m", feature="leaf")
        root.usage(ANSWER)
        root.say(finish_reason="stop")
    with session.call(feature="next"):
        pass
    client.record(model="m", feature="outside")
    assert client.flush(60)
    calls = read_calls_by_name(api_server)
    place = {
        name: (data.get("session"), data.get("root_call"), data.get("parent_call")) for name, data in calls.items()
    }
    assert place["root"] == (session.id, root.id, None)
    assert place["inner"] == (session.id, root.id, root.id)
    assert place["leaf"] == (session.id, root.id, inner.id)
    assert place["next"][0] == session.id and place["next"][1] not in (None, root.id) and place["next"][2] is None
    assert place["outside"] == (None, None, None)
    assert calls["leaf"]["agent"] == "researcher" and "agent" not in calls["outside"]
    assert calls["root"]["finish_reason"] == "stop" and calls["root"]["usage_source"] == "reported"
    assert calls["inner"]["usage_source"] == "missing" and calls["inner"]["status"] == "ok"


def test_an_exception_is_the_callers_and_is_told(client: Client, api_server: Served) -> None:
    with pytest.raises(ZeroDivisionError), client.call(model="m", feature="broken"):
        1 / 0  # noqa: B018
    with pytest.raises(asyncio.CancelledError), client.call(model="m", feature="cancelled"):
        raise asyncio.CancelledError
    assert client.flush(60)
    calls = read_calls_by_name(api_server)
    assert (calls["broken"]["status"], calls["broken"]["error_code"]) == ("error", "ZeroDivisionError")
    assert calls["cancelled"]["status"] == "aborted"


def test_a_decorated_function_is_a_call_with_what_it_returns(client: Client, api_server: Served) -> None:
    @client.call(model="m", feature="function")
    def ask(question: str) -> dict[str, Any]:
        return ANSWER | {"question": question}

    @client.call(model="m", feature="coroutine")
    async def ask_later() -> dict[str, Any]:
        await asyncio.sleep(0)
        return ANSWER

    @client.session(agent="a")
    def work() -> None:
        ask("x")
        asyncio.run(ask_later())

    work()
    work()
    assert ask("y")["question"] == "y"
    assert client.flush(60)
    events = read_inferences(api_server)
    assert [event["data"]["feature"] for event in events].count("function") == 3
    assert all(event["data"]["tokens"] == {"input": 10, "output": 3} for event in events)
    assert len({event["data"].get("session") for event in events}) == 3  # each work its own, and none outside


def test_a_generator_is_not_decorated(client: Client) -> None:
    with pytest.raises(TypeError, match=r"stream is a generator.*with client\.call"):

        @client.call(model="m")
        def stream() -> Iterator[str]:
            yield "x"


def test_tasks_and_threads_keep_their_own_place(client: Client, api_server: Served) -> None:
    async def one(name: str) -> None:
        with client.session(id=name) as session, session.call(feature=name):
            await asyncio.sleep(0.01)
            client.record(feature=f"{name}.inner")

    async def all_of_them() -> None:
        await asyncio.gather(*(one(f"task-{number}") for number in range(20)))

    asyncio.run(all_of_them())
    with client.session(id="threads") as session, ThreadPoolExecutor(8) as pool:

        def call_in_thread(number: int) -> None:
            with session.call(feature=f"thread-{number}"):
                client.record(feature=f"thread-{number}.inner")

        list(pool.map(call_in_thread, range(200)))
    assert client.flush(60)
    calls = read_calls_by_name(api_server)
    assert len(calls) == 2 * 20 + 2 * 200
    for name, one_of in calls.items():
        outer = calls[name.partition(".")[0]]
        assert one_of["root_call"] == outer["root_call"] and one_of["session"] == outer["session"]
        assert one_of["session"] == ("threads" if name.startswith("thread-") else name.partition(".")[0])
    sequences = [event["sequence"] for event in group_by_source(read_inferences(api_server))[client.source]]
    assert sequences == list(range(1, len(calls) + 1))


def test_what_does_not_fit_is_said_and_costs_no_call(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    assert client.record(model=5) is not None
    assert client.record(tokens={"input": -1}) is not None
    assert client.record(latency_ms="QZXvalue", model="m") is not None
    assert client.record(Inference(model="m"), usage=object()) is not None
    assert client.record(model="m", prompt_text="QZXprompt", own_number=1.5) is not None
    client.observe(metric="m", value="not a number")
    assert client.counts == (5, 0, 0, 1, 0, 3)
    for message in (
        "'tokens.input' does not fit and is left out; its event is recorded. Usage is unknown until it is sent as",
        "'latency_ms' does not fit and is left out; its event is recorded. Send a whole number of milliseconds",
        "'prompt_text' does not fit and is left out; its event is recorded. No field has this name: send it as a tag",
        "value: String should match pattern",
    ):
        assert message in caplog.text
    assert "QZX" not in caplog.text


def test_what_ends_in_another_context_raises_nothing(client: Client, api_server: Served) -> None:
    """An asynchronous generator is often closed by another task than the one that read it."""
    kept_events: list[AsyncGenerator[int]] = []

    async def stream() -> AsyncGenerator[int]:
        with client.session(id="s"), client.call(feature="streamed"):
            yield 1

    async def begin() -> None:
        kept_events.append(stream())
        await anext(kept_events[0])

    async def end() -> None:
        await kept_events[0].aclose()

    async def call_both() -> None:
        await asyncio.create_task(begin())
        await asyncio.create_task(end())

    asyncio.run(call_both())
    assert client.flush(60) and read_calls_by_name(api_server)["streamed"]["status"] == "aborted"


def test_observations_name_the_call(client: Client, api_server: Served) -> None:
    id = client.record(model="m")
    client.observe(call=id, metric="solved", value="1", evaluator="tests")
    assert client.flush(60)
    observed = read_inferences(api_server)[-1]
    assert observed["type"] == "tallystick.observation.v1"
    assert observed["data"]["of"] == {"source": client.source, "id": id}


def test_a_bounded_spool_says_what_it_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(NOWHERE, "t", source="app", spool=tmp_path, spool_bytes=100_000)
    for _ in range(2000):
        client.record(model="m")
    counts = client.counts
    size = sum(file.stat().st_size for file in tmp_path.rglob("*.ndjson"))
    assert 90_000 < size <= 100_000 and counts.recorded + counts.dropped == 2000 and counts.dropped > 1000
    assert "holds its 100,000 bytes" in caplog.text
    client.close(0.1)
    assert f"{counts.recorded} events are not delivered; the next client of the spool" in caplog.text


def test_nothing_is_recorded_after_the_end(tmp_path: Path) -> None:
    client = Client(NOWHERE, "t", source="app", spool=tmp_path)
    client.close(0)
    assert client.record(model="m") is None and client.counts.dropped == 1
    client.close(0)
    assert client.flush(0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "url is missing: pass url=… or set TALLY_URL"),
        ({"url": "ledger:8787", "token": "t"}, "url is 'ledger:8787': write http"),
        ({"url": NOWHERE}, "token is missing: pass token=… or set TALLY_TOKEN"),
        ({"url": NOWHERE, "token": "a b"}, "token holds a space"),
        ({"url": NOWHERE, "token": "t", "source": ""}, "source has 0 characters"),
    ],
)
def test_a_client_that_cannot_be_says_why(
    arguments: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TALLY_URL", raising=False)
    monkeypatch.delenv("TALLY_TOKEN", raising=False)
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        Client(**{"source": "app", "spool": tmp_path, **arguments})


def test_a_spool_that_cannot_be_costs_the_application_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    client = Client(NOWHERE, "t", source="app", spool=tmp_path / "file")
    assert client.record(model="m") is None
    with client.call(model="m"):
        pass
    assert "so nothing is recorded" in caplog.text and client.counts.dropped == 2


def script(body: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(body)], env=os.environ | environment, text=True, capture_output=True,
        timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def environment(api_server: Served, tmp_path: Path) -> dict[str, str]:
    """The environment in which an application reaches the API."""
    return {
        "TALLY_URL": api_server.address.geturl(), "TALLY_TOKEN": api_server.bearer("write"),
        "TALLY_SPOOL": str(tmp_path / "spool"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip


def test_the_end_of_the_process_delivers(api_server: Served, environment: dict[str, str]) -> None:
    body = "from tallystick import Client; c = Client(source='app'); [c.record(model='m') for _ in range(700)]"
    process = script(body, **environment)
    assert (process.returncode, process.stderr) == (0, "")
    assert len(read_inferences(api_server)) == 700


def test_forked_children_are_sources_of_their_own(api_server: Served, environment: dict[str, str]) -> None:
    body = """
        import os, time
        from tallystick import Client
        client = Client(source="app")
        for _ in range(50): client.record(model="m", feature="before")
        children = []
        for child in range(4):
            if (pid := os.fork()) == 0:
                for _ in range(100): client.record(model="m", feature=f"child-{child}")
                assert client.flush(60) or child % 2
                os._exit(0)
            children.append(pid)
        for _ in range(50): client.record(model="m", feature="after")
        assert all(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0 for pid in children)
        assert client.flush(60)
    """
    process = script(body, **environment)
    assert (process.returncode, process.stderr) == (0, "")
    by_source = group_by_source(read_inferences(api_server))
    assert len(by_source) == 5
    for events in by_source.values():
        assert [event["sequence"] for event in events] == list(range(1, 101))


def test_what_a_killed_process_left_is_delivered_by_the_next(
    api_server: Served, environment: dict[str, str], tmp_path: Path
) -> None:
    body = """
        import os, signal
        from tallystick import Client
        client = Client(source="app")
        for _ in range(300): client.record(model="m")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    api_server.kill()
    assert script(body, **environment).returncode == -9
    (file,) = list_files(tmp_path / "spool")
    with file.open("ab") as file_end:
        file_end.write(b'{"specversion":"1.0","id":"half')
    second = script("from tallystick import Client; Client('http://127.0.0.1:9', source='app').close()", **environment)
    assert second.returncode == 0 and list_files(tmp_path / "spool") == [file], "it is for another ledger"
    api_server.start()
    body = """
        import os, pathlib, time
        from tallystick import Client
        client, spool = Client(source="app"), pathlib.Path(os.environ["TALLY_SPOOL"])
        while any(file.stat().st_size for file in spool.rglob("*.ndjson")): time.sleep(0.05)
    """
    process = script(body, **environment)
    assert process.returncode == 0, process.stderr
    ((_, events),) = group_by_source(read_inferences(api_server)).items()
    assert [event["sequence"] for event in events] == list(range(1, 301))
    assert not [*(tmp_path / "spool").rglob("*.ndjson"), *file.parent.glob("*.lock")]


def test_a_full_disk_costs_events_that_are_counted_and_nothing_else(
    api_server: Served, environment: dict[str, str]
) -> None:
    body = """
        import resource, signal
        from tallystick import Client
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        client = Client("http://127.0.0.1:9", source="app")
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        ids = [client.record(model="m") for _ in range(500)]
        kept = len([one for one in ids if one])
        print(kept, client.counts.recorded, client.counts.dropped)
        (file,) = client._folder.glob("*.ndjson")
        lines = file.read_bytes().split(b"\\n")
        assert lines.pop() == b"" and len(lines) == kept, lines[-1]
        client.close(0)
    """
    process = script(body, **environment)
    assert process.returncode == 0, process.stderr
    kept_events, recorded, dropped = map(int, process.stdout.split())
    assert kept_events == recorded > 50 and kept_events + dropped == 500 and "cannot be written" in process.stderr


def test_a_process_without_descriptors_writes_nowhere_else(tmp_path: Path) -> None:
    """Drop an event while the next file of the spool cannot be opened, and go on once one can."""
    body = """
        import os, resource
        from pathlib import Path
        from tallystick.client.spool import SEGMENT_BYTES, Spool
        folder = Path(os.environ["SPOOL"])
        spool = Spool(folder, "i", 10 << 20)
        spool.append(b"x" * (SEGMENT_BYTES - 2) + bytes([10]))
        resource.setrlimit(resource.RLIMIT_NOFILE, (spool._file + 1, 100))
        for _ in range(3):
            try:
                spool.append(b"beyond" + bytes([10]))
            except OSError:
                continue
            raise AssertionError
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
        other = (folder / "other").open("w")
        spool.append(b"beyond" + bytes([10]))
        assert (folder / "other").read_text() == ""
        assert [file.stat().st_size for file in sorted(folder.glob("i.*.ndjson"))] == [SEGMENT_BYTES - 1, 7]
    """
    process = script(body, SPOOL=str(tmp_path), PYTHONPATH=os.pathsep.join(sys.path))
    assert process.returncode == 0, process.stderr


def test_the_caller_never_waits_for_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server accepts connections and never answers, and a request may take an hour: a caller records on and ends."""
    import socket

    from tallystick.client import http

    monkeypatch.setattr(http, "TIMEOUT_S", 3600)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = Client(f"http://127.0.0.1:{deaf.getsockname()[1]}", "t", source="app", spool=tmp_path)
        for _ in range(1000):
            client.record(model="m")
        client.close(0.2)
    assert client.counts.pending == 1000


def test_httpx_says_nothing_of_ours(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client.record(model="m")
    assert client.flush(60) and "/v1/events" not in caplog.text
