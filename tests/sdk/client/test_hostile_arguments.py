"""Whatever an application gives the client: no call raises, and nothing of a secret leaves the process."""

import logging
from collections import UserDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallystick import Client, Inference
from tallystick.privacy.key_shapes import fingerprint
from tests.ingest.api.conftest import Served
from tests.sdk.conftest import read_inferences

NOWHERE = "http://127.0.0.1:9"
MARK = "QZXMARKED"
SECRET = f"sk-proj-{MARK}0123456789"


def _fail(*_: object) -> Any:
    raise RuntimeError(MARK)


class Raises:
    """Fails whatever is asked of it, but for its repr: pydantic ignores that that fails, and pytest then asks again."""

    __str__ = __bool__ = __hash__ = __iter__ = __len__ = __eq__ = __int__ = __float__ = __index__ = _fail
    __getattr__ = __getitem__ = __contains__ = __format__ = _fail


class RaisingMapping(UserDict[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError(MARK)

    def get(self, key: str, default: Any = None) -> Any:
        raise RuntimeError(MARK)


def cyclic() -> Any:
    inner: dict[str, Any] = {}
    inner["self"] = [inner]
    return inner


def deep() -> Any:
    value: Any = "x"
    for _ in range(5_000):
        value = [value]
    return value


HOSTILE: dict[str, Any] = {
    "raises": Raises(), "mapping": RaisingMapping(x=1), "cyclic": cyclic(), "deep": deep(), "huge int": 10**5_000,
    "wide": {f"k{n}": "v" for n in range(20_000)}, "long": "x" * 5_000_000, "surrogate": "\ud800", "nul": "a\0b",
    "bytes": b"\xff" * 100, "nan": float("nan"), "set": {1, 2}, "class": Raises, "generator": (n for n in range(3)),
}  # fmt: skip


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    client = Client(NOWHERE, "t", source="app", spool=tmp_path / "spool")
    yield client
    client.close(0)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_argument_makes_a_call_raise(client: Client, name: str, caplog: pytest.LogCaptureFixture) -> None:
    value = HOSTILE[name]
    client.record(value)
    client.record(usage=value)
    client.record(usage={"usage": value, "model": value})
    for field in (
        "model",
        "tags",
        "tokens",
        "acting_for",
        "key",
        "provider_usage",
        "usage_source",
        "latency_ms",
        "other",
    ):
        client.record(**{field: value})
    client.record(tags={"a": value}, provider_usage={"a": value}, tokens={"input": value})
    client.observe(value)
    client.observe(call=value, metric=value)
    with client.session(value, team=value) as session, session.call(model=value) as call:
        call.usage(value)
        call.say(tags=value, tokens=value)
        client.record(model="m")
    assert client.counts.recorded + client.counts.dropped > 10
    assert MARK not in caplog.text
    assert client.record(model="m"), "and it goes on"


def test_what_an_application_raises_is_its_own(client: Client) -> None:
    class Odd(Exception):
        pass

    Odd.__name__ = "x" * 10_000
    with pytest.raises(Odd), client.call(model="m"):
        raise Odd


def test_a_handler_that_fails_is_no_failure_of_a_call(client: Client) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("no log")

    logger, broken = logging.getLogger("tallystick"), Broken()
    logger.addHandler(broken)
    try:
        assert client.record(model=5) is None and client.counts.dropped == 1
    finally:
        logger.removeHandler(broken)


def test_an_event_that_no_ledger_takes_is_dropped_here(client: Client) -> None:
    assert client.record(model="m", **{f"n{number}": 10**12 for number in range(10_000)}) is None
    assert client.counts.dropped == 1


def test_no_key_leaves_the_process(client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fields: dict[str, Any] = {
        "key": SECRET, "session": SECRET, "tags": {"a": f"Bearer {SECRET}", SECRET: "b"}, "acting_for": [SECRET],
        "provider_usage": {f"ghp_{MARK}0123456789012345": 1}, f"hf_{MARK}0123456789012345": 1,
    }  # fmt: skip
    assert client.record(**fields) and client.record(Inference(**{k: v for k, v in fields.items() if "hf_" not in k}))
    assert client.record(session="-----BEGIN PRIVATE KEY-----\n" + MARK * 80), "longer than its field, as it is"
    client.observe(session=SECRET, evaluator=f"https://ann:{MARK}@h/x")
    with client.session(SECRET), client.call(agent=SECRET):
        pass
    second_client = Client(f"http://ann:{MARK}@127.0.0.1:9", "t", source=f"app {SECRET}", spool=tmp_path / "spool")
    assert second_client.record(model="m") and not second_client.flush(0.5)
    second_client.close(0)
    files = [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]
    text = "".join(path.read_text() for path in files) + "".join(map(str, files))
    assert MARK not in text and MARK not in caplog.text
    assert text.count(f'"key":"{fingerprint(SECRET)}"') == 2 and client.counts.dropped == 0


def test_the_ledger_keeps_what_the_client_made(api_server: Served, tmp_path: Path) -> None:
    """The same fingerprint, whether the client made it or the intake."""
    client = Client(api_server.address.geturl(), api_server.bearer("write"), source="app", spool=tmp_path / "spool")
    client.record(key=SECRET, session=f"of {SECRET}", agent="ann@example.com", feature="ann@example.com")
    assert client.flush(60)
    client.close()
    data = read_inferences(api_server)[-1]["data"]
    assert data["key"] == fingerprint(SECRET) and data["session"] == f"of {fingerprint(SECRET)}"
    assert data["agent"] == data["feature"] and data["agent"].startswith("p_")


@pytest.mark.parametrize(
    ("fields", "stored"),
    [
        ({"usage_source": "missing", "tokens": {"input": 1}}, None),
        ({"usage_source": "reported"}, None),
        ({"usage_source": "missing"}, "missing"),
        ({"usage_source": "estimated", "tokens": {"input": 1}}, "estimated"),
        ({"tokens": {"input": 1}}, None),
    ],
)
def test_where_usage_comes_from_is_not_said_against_the_usage(
    client: Client, fields: dict[str, Any], stored: str | None
) -> None:
    assert client._build_inference(dict(fields), None).usage_source == stored
    assert client.record(**fields), "the tokens are worth more than the word beside them"


def test_a_call_says_missing_only_where_nothing_is_given(client: Client, tmp_path: Path) -> None:
    with client.call(feature="by hand") as call:
        call.usage(object())
        call.say(tokens={"input": 3})
    with client.call(feature="nothing"):
        pass
    client.record(usage=object(), tokens={"input": 3})
    lines = b"".join(path.read_bytes() for path in (tmp_path / "spool").rglob("*.ndjson")).splitlines()
    assert [b'"usage_source":"missing"' in line for line in lines] == [False, True, False]
