"""No key and no address stays in any text of any event: the fields come from the vocabulary's schema."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.controls.append import append_control
from ingest.controls.prices import adopt_price_book
from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import Intake, open_intake
from ingest.intake.rejection import Rejection
from ledger.errors import TallyError
from ledger.home.secrets import pseudonym
from ledger.home.tokens import create_token
from ledger.log import PARTITIONS, records
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS, REJECTED
from ledger.pricing.price_book_file import parse_book
from ledger.settings import Settings
from tallystick.privacy.key_shapes import FINGERPRINT, fingerprint
from tallystick.vocabulary.controls.control import CONTROL_TYPES
from tallystick.vocabulary.event import ANY_EVENT

KEY, MARK = "the organization's key", "QZXMARKED"
KINDS = ("inference", "observation", "correction", "admission", "lease", "control")
EVENTS_OF = (*KINDS[:5], *CONTROL_TYPES)
"""Kinds of facts and requests, and types of decisions."""
SECRET = f"sk-proj-{MARK}0123456789"
MAIL = f"{MARK}@example.com"
TEXTS = [
    SECRET, f"Bearer {MARK}0123456789", f"x?api_key={MARK}99", f"eyJ{MARK}aGVhZGVy.{MARK}.x", MAIL, f"of {MAIL}, x",
    f"https://{MARK}:{MARK}@h/x", f"https://h/?m={MARK}%40example.com",
]  # fmt: skip
SCHEMA = ANY_EVENT.json_schema()
BODIES = {
    branch["properties"]["control"]["const"]: branch["properties"]["body"]
    for branch in SCHEMA["$defs"]["Control"]["oneOf"]
}


EXAMPLES_BY_PATTERN = {
    "^[A-Z]{3}$": "USD",
    "^[0-9a-f]{64}$": "0" * 64,
    "^2[01][0-9]{2}-(0[1-9]|1[0-2])$": "2026-10",
}


def example(schema: dict[str, Any]) -> Any:
    """The least that fits a schema, with every field of it, and every branch's first."""
    if "$ref" in schema:
        return example(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]])
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    if "anyOf" in schema:
        branches = [branch for branch in schema["anyOf"] if branch.get("type") != "null"]
        return example(branches[-1] if branches[0].get("type") == "number" else branches[0])
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {name: example(field) for name, field in schema["properties"].items()}
        case "object" if "additionalProperties" not in schema:
            return {}  # the body of a decision, which its type describes
        case "object":
            name = schema.get("propertyNames", {})
            return {example({"type": "string"} | name): example(schema["additionalProperties"])}
        case "array":
            return [example(schema["items"])]
        case "string" if schema.get("format") == "date-time":
            return "2026-01-05T12:00:00Z"
        case "string":
            return EXAMPLES_BY_PATTERN.get(schema.get("pattern", ""), "1")
        case "integer" | "number":
            return min(60, schema.get("maximum", 60))
        case "boolean":
            return True
    raise AssertionError(schema)


def make_event(name: str) -> dict[str, Any]:
    """An event of a kind, or a decision of a type, with all of its fields."""
    kind = "control" if name in CONTROL_TYPES else name
    reference = SCHEMA["discriminator"]["mapping"][f"tallystick.{kind}.v1"]
    event: dict[str, Any] = example({"$ref": reference})
    if kind == "correction":
        event["data"]["action"] = "replacement"
        del event["data"]["accepted"]  # of an acceptance alone
    event["data"].pop({"admission": "admission", "lease": "lease"}.get(kind), None)  # of what ends one alone
    if kind == "admission":
        event["data"]["estimate"] = "0.9"
    if kind == "control":
        body = example(BODIES[name])
        for limit in body.get("limits", ()):
            limit["at_limit"] = "downgrade"
            del limit["window"]["rolling_s"], limit["window"]["first_month"]
        if name == "grant.narrowed":
            del body["until"]  # of what may end alone
        event["data"] |= {"control": name, "body": body}
    return event


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of texts: of fields, and of names in mappings (the path then ends with None)."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, (*path, index))
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield (*path, name, None)
            yield from places(inner, (*path, name))


def put(value: Any, path: tuple[Any, ...], text: str) -> Any:
    if not path:
        return text
    if path[1:] == (None,):
        return {text if name == path[0] else name: inner for name, inner in value.items()}
    if isinstance(value, list):
        return [put(inner, path[1:], text) if index == path[0] else inner for index, inner in enumerate(value)]
    return value | {path[0]: put(value[path[0]], path[1:], text)}


def enter(event: Any, entrance: Intake | None = None) -> bytes:
    """Return an event as it stands on the log, or the detail of its rejection."""
    try:
        return (entrance or Intake(KEY, KINDS)).accept(json.dumps(event).encode()).line
    except Rejection as refused:
        return f"refused {refused.field} {refused.reason}".encode()


def test_the_examples_enter() -> None:
    for kind in EVENTS_OF:
        assert not enter(make_event(kind)).startswith(b"refused"), enter(make_event(kind))


@pytest.mark.parametrize("kind", EVENTS_OF)
def test_a_secret_in_any_text_of_any_event_is_on_no_log(kind: str) -> None:
    """Each text of the vocabulary in turn, and each name of a field."""
    event, replaced = make_event(kind), 0
    for place in places(event):
        for text in TEXTS:
            line = enter(put(event, place, text))
            assert MARK.encode() not in line, (place, text, line)
            replaced += b"fp_" in line or b"p_" in line
    assert replaced > 100 or kind != "inference", "or nothing was found because nothing entered"


@given(
    st.sampled_from(EVENTS_OF).flatmap(
        lambda kind: st.tuples(st.just(kind), st.sampled_from([*places(make_event(kind))]))
    ),
    st.lists(
        st.sampled_from(TEXTS) | st.sampled_from([" ", "/", "(", "\u200b", "\n", '"', "é"]), min_size=1, max_size=4
    ),
)
def test_the_replacement_is_idempotent_and_keeps_no_secret(
    kind_and_place: tuple[str, tuple[Any, ...]], parts: list[str]
) -> None:
    kind, place = kind_and_place
    text = " ".join(parts)
    names: dict[str, str] = {}
    line = enter(put(make_event(kind), place, text), Intake(KEY, KINDS, names.__setitem__))
    assert MARK.encode() not in line, line
    assert not any(f"sk-proj-{MARK}" in name for name in names.values()), "the table of names holds no key"
    if not line.startswith(b"refused"):
        assert enter(json.loads(line)) == line


def test_a_key_has_one_fingerprint_wherever_it_stands() -> None:
    names: dict[str, str] = {}
    data = {"key": SECRET, "session": f"of {SECRET}", "user": SECRET, "tags": {"t": SECRET}}
    data_kept = json.loads(enter(make_event("inference") | {"data": data}, Intake(KEY, KINDS, names.__setitem__)))[
        "data"
    ]
    fp = fingerprint(SECRET)
    assert data_kept == {"session": f"of {fp}", "user": pseudonym(KEY, fp), "tags": {"t": fp}, "key": fp}
    assert names == {pseudonym(KEY, fp): fp}
    budget = {"dimension": "key", "scope": SECRET, "limit": "1", "currency": "USD", "window_s": 60}
    event = make_event("budget.allocated")
    event["data"]["body"] = budget
    assert json.loads(enter(event))["data"]["body"]["scope"] == fp


@pytest.mark.parametrize("value", ["k1", "0f" * 16, "-----BEGIN PRIVATE KEY-----\n" + "MIIE" * 1000, f"sk-{'x1' * 60}"])
def test_the_field_of_a_key_holds_fingerprints_alone(value: str) -> None:
    data_kept = json.loads(enter(make_event("inference") | {"data": {"key": value}}))["data"]["key"]
    assert FINGERPRINT.fullmatch(data_kept)
    assert json.loads(enter(make_event("inference") | {"data": {"key": data_kept}}))["data"]["key"] == data_kept


def test_an_address_is_the_person_that_user_names() -> None:
    names: dict[str, str] = {}
    data = {"user": MAIL, "session": MAIL, "agent": f"agent of {MAIL}", "key": MAIL}
    data_kept = json.loads(enter(make_event("inference") | {"source": f"app/{MAIL}", "id": MAIL, "data": data},
                            Intake(KEY, KINDS, names.__setitem__)))  # fmt: skip
    person = pseudonym(KEY, MAIL)
    assert data_kept["source"] == f"app/{person}" and data_kept["id"] == person
    assert data_kept["data"] == {"session": person, "agent": f"agent of {person}", "user": person, "key": person}
    assert names == {person: MAIL}, "which is how erasing reaches it"


def test_numbers_under_a_name_like_a_key_are_left_out() -> None:
    entered = Intake(KEY).accept_event(
        make_event("inference") | {"data": {SECRET: 1, "provider_usage": {SECRET: 1}, "n": 2}}
    )
    assert json.loads(entered.line)["data"] == {
        "left_out": ["?", "provider_usage.?"],
        "provider_usage": {},
        "n": 2,
    }
    assert set(entered.removed) == {("data.?", "number"), ("data.provider_usage.?", "number")}


def test_what_does_not_fit_with_its_pseudonym_says_so() -> None:
    with pytest.raises(Rejection, match="counted with the pseudonyms of e-mail addresses"):
        Intake(KEY).accept_event(make_event("inference") | {"data": {"session": "x" * 240 + " a@b.example"}})


def test_refusals_and_decisions_hold_none(tmp_path: Path) -> None:
    log, settings = EmbeddedLog(tmp_path), Settings(home=tmp_path)
    entrance = open_intake(tmp_path, "acme")
    batch = Batch(log, Envelope("acme", "test", "test"), entrance.key)
    for number in range(60):  # beyond 50 they are counted by reason
        batch.refuse(Rejection(f"column of {MAIL}", f"is less than {SECRET}, {number % 2}"), b"x", 1)
    batch.append()
    bodies = [(control, example(BODIES[control])) for control in CONTROL_TYPES]
    bodies += [(control, body | {SECRET: SECRET, "owner": MAIL}) for control, body in bodies]
    bodies += [(control, body | {name: MAIL}) for control, body in bodies for name in body]
    for control, body in bodies:
        try:
            append_control(log, settings, control, body, organization="acme",
                           reason=f"asked by {MAIL} with {SECRET}", actor=MAIL)  # fmt: skip
        except TallyError as error:
            assert "is not possible" in str(error)
    texts = [
        f"{record.key}{record.headers}{record.value.decode()}"
        for topic in (EVENTS, REJECTED)
        for partition in range(PARTITIONS)
        for record in records(log, topic, partition)
    ]
    assert len(texts) > 6 and not any(MARK in text for text in texts)


@pytest.mark.parametrize("name", [MAIL, SECRET, f"https://{MARK}:x@h"])
def test_an_organization_and_a_price_book_are_called_by_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(TallyError, match="key or an e-mail address"):
        open_intake(tmp_path, name)
    with pytest.raises(TallyError, match="key or an e-mail address"):
        create_token(tmp_path, [name], ["write"])
    book = parse_book(json.dumps({"name": name[:60], "currency": "USD", "providers": [
        {"id": "a", "models": [{"id": "m", "prices": [{"rates": {"input": 1}}]}]}]}), "the test")  # fmt: skip
    with pytest.raises(TallyError, match="key or an e-mail address"):
        adopt_price_book(EmbeddedLog(tmp_path), Settings(home=tmp_path), book)
    assert not any(MARK.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ({"usage_source": "missing", "tokens": {"input": 0}}, "'missing' beside usage"),
        ({"usage_source": "missing", "reported_tokens": {"total": 0}}, "'missing' beside usage"),
        ({"usage_source": "missing", "provider_usage": {"n": 1}}, "'missing' beside usage"),
        ({"usage_source": "reported"}, "'reported' without tokens"),
        ({"usage_source": "estimated", "tokens": {}}, "'estimated' without tokens"),
        ({"usage_source": "missing"}, None),
        ({"usage_source": "missing", "tokens": {}, "quantities": {"requests": 1}}, None),
        ({"usage_source": "reported", "tokens": {"input": 0}}, None),
        ({"usage_source": "reported", "quantities": {"images": 1}}, None),
        ({"usage_source": "estimated", "reported_tokens": {"input": 1}}, None),
        ({"tokens": {"input": 1}}, None),
    ],
)
def test_where_usage_comes_from_agrees_with_the_usage(data: dict[str, Any], wrong: str | None) -> None:
    line = enter(make_event("inference") | {"data": data})
    assert (wrong or "").encode() in line and line.startswith(b"refused data usage_source") is (wrong is not None), line
