"""Every control type alike: sent, made by its command, refused by field, relayed, answered once, and replayed."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingest.controls.append import append_control
from ingest.controls.budgets import set_budget
from ingest.controls.contracts import sign_contract
from ingest.controls.erasure import erase_person
from ingest.controls.log import activate_generation
from ingest.controls.log import build_closing_records as closing_records
from ingest.controls.models import alias_model
from ingest.controls.platform_relay import ensure
from ingest.controls.prices import adopt_price_book, build_restatement
from ingest.controls.runaway_rules import adopt_rules
from ingest.intake.intake import Intake
from ingest.intake.rejection import Rejection
from ledger.errors import TallyError
from ledger.home.persons import Persons
from ledger.log import PARTITIONS, Record, records
from ledger.log.documents import store_document
from ledger.log.open import open_log
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import DECISIONS, DOCUMENTS, ENTRIES, EVENTS
from ledger.organizations import PLATFORM
from ledger.pricing.contract_file import parse_contract
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from ledger.runaway_rules import RunawayRules, pack_rules, parse_rules
from ledger.settings import Settings
from streams.folds.chain import FOLDS
from streams.replay import replay
from tallystick import ANY_EVENT
from tallystick.vocabulary.controls.control import CONTROL_TYPES
from tests.ingest.api.conftest import Served, api_server, lines  # noqa: F401  (a fixture)
from tests.streams.build import BOOK

EXAMPLES: dict[str, dict[str, Any]] = {
    control: model.model_json_schema()["examples"][0] for control, model in CONTROL_TYPES.items()
}
HANDLED = {control for fold in FOLDS for control in fold.on_control} | {"price.restated"}
FIELDS = [(control, field) for control, model in CONTROL_TYPES.items() for field in model.model_fields]
RULES_DOCUMENT = "rules"
Make = Callable[[EmbeddedLog, Settings], object]


def restate(log: EmbeddedLog, settings: Settings) -> None:
    """Append one restatement to every partition; the command's differ by their ranges."""
    draft = build_restatement(settings, 0, EXAMPLES["price.restated"], None)
    log.append(EVENTS, [draft._replace(partition=partition) for partition in range(PARTITIONS)])


COMMANDS: dict[str, Make] = {
    "budget.allocated": lambda log, settings: set_budget(
        log, settings, "acme", "team", "search", Decimal(100), "USD", 3600
    ),
    "price_book.adopted": lambda log, settings: adopt_price_book(log, settings, parse_book(BOOK, "the test")),
    "contract.signed": lambda log, settings: sign_contract(
        log, settings, "acme", parse_contract("{name: acme-2026, currency: USD, terms: [{discount: 10}]}", "the test")
    ),
    "model.aliased": lambda log, settings: alias_model(log, settings, "prod-chat", "azure", "gpt-4o", "azure"),
    "rules.adopted": lambda log, settings: adopt_rules(
        log, settings, "acme", parse_rules("{page_above: 5}", "the test")
    ),
    "subject.erased": lambda log, settings: erase_person(log, settings, "acme", "ann"),
    "price.restated": restate,
    "log.closed": lambda log, settings: log.append(EVENTS, closing_records(settings, "kafka://there/x")),
    "generation.activated": lambda log, settings: ensure(log, activate_generation(settings, 2, 3)),
}
"""The function of the command that makes decisions of a type. Any other type is appended as its example."""


def build_event(control: str, body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    data = {"control": control, "body": body} | fields
    return {
        "id": control, "source": "console", "time": "2026-06-01T12:00:00Z", "type": "tallystick.control.v1",
        "data": data,
    }  # fmt: skip


def refuse(event: dict[str, Any]) -> Rejection:
    with pytest.raises(Rejection) as refused:
        Intake("key", ("control",)).accept_event(event)
    return refused.value


def make_decision(control: str, home: Path) -> dict[int, list[Record]]:
    """Make a decision by its command, in a new home; return the records of each partition."""
    log, settings = EmbeddedLog(home), Settings(home=home)
    with closing(log):
        if control in COMMANDS:
            COMMANDS[control](log, settings)
        else:
            append_control(log, settings, control, EXAMPLES[control], organization="acme")
        return {partition: list(records(log, EVENTS, partition)) for partition in range(PARTITIONS)}


def read_documents(home: Path) -> dict[str, bytes]:
    with closing(EmbeddedLog(home)) as log:
        return {record.key: record.value for record in records(log, DOCUMENTS, 0)}


def derive_answers(by_partition: dict[int, list[Record]], documents: dict[str, bytes]) -> Iterator[dict[str, Any]]:
    all_records = [record for partition in by_partition.values() for record in partition]
    for topic, record in replay(all_records, documents):
        if topic is DECISIONS:
            yield from (json.loads(line) for line in record.value.split(b"\n"))


@pytest.mark.parametrize("control", CONTROL_TYPES)
def test_the_example_is_accepted_over_http_or_names_its_command(control: str, api_server: Served) -> None:  # noqa: F811
    admin, event = api_server.bearer("admin"), build_event(control, EXAMPLES[control])
    if command := CONTROL_TYPES[control].command:
        (result,) = api_server.send(lines(event), bearer=admin).json()["results"]
        assert result["field"] == "data.control" and command in result["reason"]
        return
    if "document" in EXAMPLES[control]:
        (result,) = api_server.send(lines(event), bearer=admin).json()["results"]
        assert result["field"] == "data.body.document" and "store the document first" in result["reason"]
        with closing(open_log(api_server.settings)) as log:
            store_document(log, EXAMPLES[control]["document"], b"")
    assert api_server.send(lines(event), bearer=admin).json()["accepted"] == 1


@pytest.mark.parametrize("control", CONTROL_TYPES)
def test_a_command_makes_it_and_what_is_the_platforms_is_relayed(control: str, tmp_path: Path) -> None:
    by_partition = make_decision(control, tmp_path)
    appended = [record for partition in by_partition.values() for record in partition]
    for line in (line for record in appended for line in record.value.split(b"\n")):
        event = json.loads(line)
        assert event["data"]["control"] == control
        assert ANY_EVENT.validate_json(line).canonical() == line
    if appended[0].organization == PLATFORM:
        assert all(len(partition) == 1 for partition in by_partition.values())
        assert len({record.value for record in appended}) == 1
    else:
        assert len(appended) == 1 and CONTROL_TYPES[control].command in (
            None,
            "tally subject erase",
            "tally contract sign",
        )


@pytest.mark.parametrize(("control", "field"), FIELDS)
def test_a_refusal_names_the_field_that_is_wrong(control: str, field: str) -> None:
    example = EXAMPLES[control]
    for wrong in ([["QZXMARKED"]], {"QZXMARKED": 1}, -1, ""):
        refused = refuse(build_event(control, example | {field: wrong}))
        assert f"{refused.field}.".startswith(f"data.body.{field}."), refused  # or an item of its list
        assert "QZXMARKED" not in str(refused)
    misspelled = refuse(build_event(control, example | {f"{field}x": 1}))
    assert misspelled.field == f"data.body.{field}x" and f"nearest is {field}" in misspelled.reason
    if CONTROL_TYPES[control].model_fields[field].is_required():
        missing = refuse(build_event(control, {name: value for name, value in example.items() if name != field}))
        assert (missing.field, missing.reason) == (f"data.body.{field}", "is missing")


@pytest.mark.parametrize("control", CONTROL_TYPES)
def test_fields_of_another_type_and_words_of_content_are_refused_by_name(control: str) -> None:
    unknown = refuse(build_event(control, EXAMPLES[control] | {"QZXMARKED of content": 1}))
    assert unknown.field == "data.body.?" and ", ".join(CONTROL_TYPES[control].model_fields) in unknown.reason
    other_body = next(body for name, body in EXAMPLES.items() if body.keys() != EXAMPLES[control].keys())
    assert refuse(build_event(control, other_body)).field.startswith("data.body.")
    assert refuse(build_event(control, EXAMPLES[control], evidence=["Ann Example"])).field == "data.evidence.0"


def test_a_type_without_schema_is_refused_with_those_that_have_one() -> None:
    for control in ("invoice.received", "commitment.made", "grant.reviewed", "made.up"):
        refused = refuse(build_event(control, {}))
        assert refused.field == "data.control" and ", ".join(CONTROL_TYPES) in refused.reason


@pytest.mark.parametrize("control", CONTROL_TYPES)
def test_it_is_answered_once_and_a_replay_is_equal(control: str, tmp_path: Path) -> None:
    """Repeated in the log, as a client or a relay may, it is a duplicate and is not answered again."""
    by_partition = make_decision(control, tmp_path)
    documents = read_documents(tmp_path)
    repeated = {
        partition: [
            *in_order,
            *(record._replace(offset=len(in_order) + index) for index, record in enumerate(in_order)),
        ]
        for partition, in_order in by_partition.items()
    }
    answers = list(derive_answers(repeated, documents))
    assert answers == list(derive_answers(repeated, documents))
    answers = [answer for answer in answers if answer["decision"] != "grant.metered"]  # what its limits hold then
    assert all(answer["control_type"] == control for answer in answers)
    partitions = [partition for partition, in_order in by_partition.items() if in_order]
    assert [answer["partition"] for answer in answers] == (partitions if control in HANDLED else [])
    all_records = [record for partition in repeated.values() for record in partition]
    outcomes = [
        json.loads(line)["outcome"]
        for topic, record in replay(all_records, documents)
        if topic is ENTRIES
        for line in record.value.split(b"\n")
    ]
    assert set(outcomes) <= {"counted", "duplicate", "record"}


@pytest.mark.parametrize(
    "name, document, reason", [("others", RULES_DOCUMENT, "as 'runaways'"), ("runaways", "book", "has no rules")]
)
def test_rules_under_another_name_or_of_another_kind_have_no_effect(
    tmp_path: Path, name: str, document: str, reason: str
) -> None:
    digest, packed = pack_rules(RunawayRules()) if document == RULES_DOCUMENT else pack_book(parse_book(BOOK, "b"))
    log, settings = EmbeddedLog(tmp_path), Settings(home=tmp_path)
    with closing(log):
        store_document(log, digest, packed)
        append_control(log, settings, "rules.adopted", {"name": name, "document": digest}, organization="acme")
        by_partition = {partition: list(records(log, EVENTS, partition)) for partition in range(PARTITIONS)}
    (answer,) = derive_answers(by_partition, read_documents(tmp_path))
    assert answer["decision"] == "control.ineffective" and reason in answer["reason"]


def test_rules_of_a_document_that_the_log_lacks_are_refused(tmp_path: Path) -> None:
    log, settings = EmbeddedLog(tmp_path), Settings(home=tmp_path)
    body = {"name": "r", "document": "1" * 64}
    with closing(log), pytest.raises(TallyError, match=r"body\.document: is the hash of no document on the log"):
        append_control(log, settings, "rules.adopted", body, organization="acme")


def test_persons_of_a_decision_are_pseudonyms_and_can_be_erased(tmp_path: Path) -> None:
    log, settings = EmbeddedLog(tmp_path), Settings(home=tmp_path)
    with closing(log):
        set_budget(log, settings, "acme", "user", "ann", Decimal(1), "USD", 60, "for eve@x.org", actor="bob")
        with closing(Persons(tmp_path)) as persons:
            (record,) = (record for partition in range(PARTITIONS) for record in records(log, EVENTS, partition))
            data = json.loads(record.value)["data"]
            pseudonyms = [data["body"]["scope"], data["actor"], data["reason"].removeprefix("for ")]
            assert persons.find_names("acme", pseudonyms) == dict(
                zip(pseudonyms, ("ann", "bob", "eve@x.org"), strict=True)
            )
        for name, pseudonym in zip(("ann", "bob", "eve@x.org"), pseudonyms, strict=True):
            erased = erase_person(log, settings, "acme", name)
            assert erased.was_listed and erased.pseudonym == pseudonym and not erased.held_by
        with closing(Persons(tmp_path)) as persons:
            assert persons.find_names("acme", pseudonyms) == {}
    assert not any(b"eve@x" in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
