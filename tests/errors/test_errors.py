"""Every error that a user can cause: it names the thing, the value where there is one that may be said, and the way out.

Each place in the code that makes one must be reached by a case below, or stand in ``ELSEWHERE`` with the test that brings
it about. A refused event is told without its values, since they may be content: its thing is the field, its way out
what enters.
"""

import gzip
import json
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from alerting import routes
from audit.verify.pricing import Book
from ingest.adapters import azure_llm_trace, mooncake_trace
from ingest.adapters.response_files import make_response_format
from ingest.adapters.usage_payloads import Identity, build_event
from ingest.api import body, outcomes, traces, usage
from ingest.api.event_headers import NO_HEADERS, read_event_headers
from ingest.controls.append import append_control, check_decision
from ingest.controls.budgets import set_budget
from ingest.controls.contracts import end_contract, sign_contract
from ingest.controls.periods import check_month
from ingest.controls.prices import adopt_price_book
from ingest.controls.registry.records import read_file as read_registry_file
from ingest.controls.registry.yaml_nodes import parse_yaml
from ingest.files.importer import Options, parse_start
from ingest.files.lines import read_lines
from ingest.intake.batch import Batch, Envelope
from ingest.intake.intake import Intake, pseudonym_secret_name, seal_event
from ingest.spans.inference import build_event as build_inference
from ingest.spans.span import Span
from ledger.home import tokens
from ledger.log import Draft, Record
from ledger.log.backup import back_up
from ledger.log.kafka.cluster import cluster_of, parse_cluster
from ledger.log.open import open_log
from ledger.log.record import MAX_RECORD_BYTES
from ledger.log.sqlite.log import EmbeddedLog
from ledger.log.topics import EVENTS
from ledger.organizations import PLATFORM
from ledger.pricing.contract_file import parse_contract, read_contract_file
from ledger.pricing.price_book_file import parse_book, read_book_file
from ledger.runaway_rules import parse_rules, read_rules_file
from ledger.settings import Settings
from streams.folds.contracts.agreement import open_contract
from streams.folds.prices.contract_terms import ContractTerms
from streams.folds.prices.price_lookup import Catalogue
from streams.folds.rating import open_book
from streams.replay import open_catalogues
from streams.runtime import read_catalogues
from tally.cli import arguments as reading
from tally.cli.log import backup
from tally.product.alerts.states import find_alert
from tally.product.copy_log import copy_log
from tally.product.dry_run import run_dry
from tally.product.rebuild import rebuild
from tally.session import make_home
from tests.errors.causes import (
    BOOK,
    INTAKE,
    PRICED,
    SHEET,
    SIGNED,
    FailingFile,
    append_to_replaced_log,
    back_up_damaged_log,
    back_up_forbidden,
    back_up_over_files,
    control,
    decision,
    enter_large_event,
    fail_in_sqlite,
    import_file,
    import_folder,
    import_folder_that_cannot_be_read,
    import_forbidden_file,
    import_mapped_file,
    import_refused_line,
    import_rows,
    judge_wrong_document,
    make_log,
    make_settings,
    open_closed_state,
    open_damaged_log,
    open_lost_log,
    open_warehouse_on_file,
    read_mapped_row,
    rebuild_on_full_disk,
    run_twice,
    seal_large_book,
    send_event,
    use_occupied_kafka_port,
    use_occupied_port,
    with_variable,
    write_on_full_disk,
)
from tests.errors.elsewhere import ELSEWHERE
from tests.errors.sites import find_sites, reaching
from tests.ingest.api.conftest import call, lines
from tests.tally.conftest import ROOT, invoke
from warehouse.client import find_address
from warehouse.embedded.server import _listen

Case = tuple[str, Callable[[Path], object], tuple[str, ...]]

ADDRESSED = (
    "{name: ann@example.com, currency: USD, providers: [{id: a, models: [{id: m, prices: [{rates: {input: 1}}]}]}]}"
)
CURSOR = b"Date,Model,Cache Read,Output Tokens\n2026-11-02,gpt-5,1,1"


def read_response_line(line: bytes) -> None:
    source = make_response_format("openai_chat").rows
    assert source is not None
    source.make_reader("f").read(line)


def read_usage(raw: bytes, kind: str = "application/json") -> object:
    return usage.read_calls(raw, kind, NO_HEADERS)


def build_usage(response: object) -> object:
    return build_event([response], "openai_chat", Identity(None, None, None), {}, datetime.now(UTC))


def read_headers(*headers: tuple[str, str]) -> object:
    return read_event_headers(Headers(raw=[(name.encode(), value.encode()) for name, value in headers]))


def build_span(**changes: Any) -> object:
    span = Span("0" * 31 + "1", "0" * 15 + "1", "", 1, 2, False, {"input": 1})
    return build_inference(span._replace(**changes), {}, {})


CASES: list[Case] = [
    # settings, homes, ports
    ("a setting", lambda p: with_variable("TALLY_API_PORT", "x"), ("TALLY_API_PORT", "'x'", "integer")),
    ("a home that cannot be", lambda p: make_home(Settings(home=Path("/proc/x"))), ("/proc/x", "TALLY_HOME")),
    ("a home without a log", lambda p: open_log(make_settings(p)), ("home", "tally import", "TALLY_HOME")),
    ("a port that is taken", use_occupied_port, ("TALLY_DASHBOARDS_PORT", "Address already in use", "choose another")),
    ("a port of Kafka's", use_occupied_kafka_port, ("for Kafka is taken", "--port")),
    ("two of a service", run_twice, ("sink of", "already runs", "stop that one")),
    ("a backup over something", back_up_over_files, ("there", "is there already", "name a new folder")),
    ("a backup of Kafka", lambda p: with_variable("TALLY_LOG", "kafka://h", lambda: backup(p / "x")), ("the log is at", "docs/operations.md")),
    ("no Kafka", lambda p: cluster_of(Settings(home=p)), ("TALLY_LOG", "kafka://")),
    ("the home's own Kafka", lambda p: cluster_of(Settings(home=p, log="kafka://")), ("no Kafka runs", "tally up")),
    ("a log's URL", lambda p: parse_cluster("kafka:/host"), ("TALLY_LOG", "kafka:/host", "form")),
    ("an option of it", lambda p: parse_cluster("kafka://h?x=1"), ("TALLY_LOG", "'x'", "security_protocol")),
    ("a mechanism", lambda p: parse_cluster("kafka://u:p@h?sasl_mechanism=X"), ("sasl_mechanism=X", "one of")),
    ("half of a login", lambda p: parse_cluster("kafka://h?security_protocol=SASL_SSL"), ("SASL_SSL", "no user", "give both")),
    ("a warehouse's URL", lambda p: find_address(Settings(home=p, warehouse="host")), ("TALLY_WAREHOUSE", "'host'", "http://")),
    ("a warehouse's port", lambda p: use_occupied_port(p, _listen), ("port", "for the warehouse is taken", "TALLY_WAREHOUSE_PORT")),
    ("a warehouse's folder", open_warehouse_on_file, ("warehouse", "cannot be opened", "delete the folder")),
    ("a log that is damaged", open_damaged_log, ("recorded.db", "not a database", "docs/operations.md, Restore")),
    ("a log that is empty, and was not", open_lost_log, ("recorded.db is empty", "held a log before", "restore it from a copy")),
    ("a log that was replaced under a process", append_to_replaced_log, ("recorded.db was deleted or replaced", "start this process again")),
    ("a full disk", write_on_full_disk, ("tokens.json", "the disk is full", "free some space")),
    ("a database on a full disk", lambda p: fail_in_sqlite(sqlite3.SQLITE_FULL), ("recorded.db", "the disk is full", "free some space")),
    ("a database that is forbidden", lambda p: fail_in_sqlite(sqlite3.SQLITE_CANTOPEN), ("recorded.db", "what SQLite said", "the right to read and write")),
    ("a database that is locked", lambda p: fail_in_sqlite(sqlite3.SQLITE_BUSY), ("recorded.db", "locked by another process", "wait for its end")),
    ("a disk that fails", lambda p: fail_in_sqlite(sqlite3.SQLITE_IOERR), ("recorded.db", "cannot read or write", "free some space")),
    ("a home that the warehouse cannot have", lambda p: with_variable("TALLY_HOME", "a?b"), ("TALLY_HOME", "'a?b'", "'?'", "name another one")),
    ("a home of nobody", lambda p: with_variable("TALLY_HOME", "~nobody-of-this-name/x"), ("TALLY_HOME", "home of an unknown user", "write the whole path")),
    ("a home in two lines", lambda p: with_variable("TALLY_HOME", "a\nb"), ("TALLY_HOME", "line break", "name another folder")),
    ("a home that is no text", lambda p: with_variable("TALLY_HOME", "a\udcff"), ("TALLY_HOME", "not UTF-8", "name a folder whose path is")),
    ("a home that is too long", lambda p: with_variable("TALLY_HOME", "a" * 300), ("TALLY_HOME", "too long", "shorter")),
    ("a backup that may not be", back_up_forbidden, ("cannot back up", "copy", "name a folder that can be written")),
    ("a log with a bad page", back_up_damaged_log, ("recorded.db", "is damaged", "restore it from an older one")),
    ("a backup to where nothing can be", lambda p: back_up(make_log(p / "home"), Path("/proc/x")), ("cannot back up", "/proc/x")),
    ("rows that are damaged", lambda p: open_closed_state().get(("budgets", "x", 0)), ("folds' state", "tally rebuild")),
    ("what falls due is damaged", lambda p: open_closed_state().next_due(), ("folds' state", "tally rebuild")),
    ("a place that another writer took", lambda p: EmbeddedLog(p).insert(EVENTS, [Record(0, 5, 1, "k", {}, b"")]), ("goes on at offset 0", "was to take the record at 5", "end that first")),
    ("a document that the log lacks", lambda p: read_catalogues(EmbeddedLog(p))("ab"), ("document ab", "restore tally.documents from a copy")),
    ("a document that a replay lacks", lambda p: open_catalogues({})("ab"), ("document ab", "restore tally.documents")),
    ("a disk that is too full", rebuild_on_full_disk, ("needs about", "has 0 B free", "free some space")),
    # tokens, webhooks
    ("a token's organization", lambda p: tokens.create_token(p, [PLATFORM], ["write"]), ("--organization", PLATFORM, "name one")),
    ("a token that is none", lambda p: tokens.revoke_token(p, "x"), ("no token", "'x'", "tally token list")),
    ("a webhook's organization", lambda p: routes.set_webhook(p, "", "http://h", "slack"), ("--organization", "''", "name one")),
    ("a webhook's URL", lambda p: routes.set_webhook(p, "a", "ftp://h", "slack"), ("ftp://h", "https://host/path")),
    ("a webhook that is none", lambda p: routes.get_webhook(p, "acme"), ("'acme'", "no webhook", "tally alerts webhook URL")),
    ("a route's organization", lambda p: routes.add_route(p, "", "slack", "http://h"), ("--organization", "''", "name one")),
    ("a route's address", lambda p: routes.add_route(p, "a", "email", "smtp://h"), ("smtp://h", "no address of email", "ann@example.com")),
    ("a route that is none", lambda p: routes.get_route(p, "x"), ("no route 'x'", "tally alerts route list")),
    ("an alert that is none", lambda p: find_alert(EmbeddedLog(p), make_settings(p), "x", "acme"), ("no alert 'x' of acme", "tally alerts list --all")),
    # what people type
    ("a pair", lambda p: reading.parse_pair("x", "--scope"), ("--scope", "'x'", "NAME=VALUE")),
    ("a time", lambda p: reading.parse_time("soon", "--since"), ("--since", "'soon'", "2026-10-01")),
    ("a month", lambda p: check_month("October"), ("'October'", "year and month", "2026-10")),
    ("one of some", lambda p: reading.parse_choice("x", ["a", "b"], "--format"), ("--format", "'x'", "a, b")),
    ("the window of a budget", lambda p: reading.parse_window_s("90s", "--window"), ("--window", "'90s'", "whole minutes")),
    ("a length of time", lambda p: reading.parse_duration_s("1y", "--window"), ("--window", "'1y'", "s, m, h or d")),
    ("an amount in another form", lambda p: reading.parse_amount("1_0", "--limit"), ("--limit", "'1_0'", "for example 100")),
    ("a setting's number in another form", lambda p: with_variable("TALLY_API_PORT", "1_0"), ("TALLY_API_PORT", "'1_0'", "plain digits")),
    ("an organization of two lines", lambda p: with_variable("TALLY_ORGANIZATION", "a\nb"), ("TALLY_ORGANIZATION", "visible characters")),
    ("an amount", lambda p: reading.parse_amount("x", "--limit"), ("--limit", "'x'", "for example 100")),
    ("a start", lambda p: parse_start("x"), ("--start", "'x'", "2024-06-01T00:00:00Z")),
    # decisions
    ("a budget of the platform", lambda p: append_control(EmbeddedLog(p), make_settings(p), "budget.allocated", {}, organization=PLATFORM), (PLATFORM, "TALLY_ORGANIZATION")),
    ("a budget's window", lambda p: set_budget(EmbeddedLog(p), make_settings(p), "acme", "team", "s", Decimal(1), "USD", 61), ("body.window_s", "multiple of 60")),
    ("a budget's reason", lambda p: set_budget(EmbeddedLog(p), make_settings(p), "acme", "team", "s", Decimal(1), "USD", 60, "x" * 1001), ("budget.allocated", "reason", "1000")),
    ("the whole organization's", lambda p: set_budget(EmbeddedLog(p), make_settings(p), "acme", "organization", "s", Decimal(1), "USD", 60), ("body.scope", "'acme'")),
    ("a decision of elsewhere", lambda p: check_decision(decision(control="log.closed"), "acme", bool), ("data.control", "log.closed", "tally log copy")),
    ("another's budget", lambda p: check_decision(decision(body={"dimension": "organization", "scope": "x"}), "acme", bool), ("data.body.scope", "'acme'")),
    ("rules of no document", lambda p: check_decision(decision(control="rules.adopted", body={"document": "0"}), "acme", lambda digest: False), ("data.body.document", "store the document first")),
    ("a reserved organization", lambda p: Batch(EmbeddedLog(p), Envelope(PLATFORM, "d", "x"), "k"), (PLATFORM, "TALLY_ORGANIZATION")),
    # price books
    ("a registry that cannot be read", lambda p: read_registry_file(p / "none"), ("none", "No such file", "name a YAML file")),
    ("a registry that is no YAML", lambda p: parse_yaml("teams: [", "r.yaml"), ("r.yaml:1", "is not YAML")),
    ("a registry without a section", lambda p: parse_yaml("", "r.yaml"), ("r.yaml", "declares nothing", "teams: {}")),
    ("a registry with a list", lambda p: next(iter(parse_yaml("a: [1]", "r.yaml").list_fields()))[1].read_text(), ("r.yaml:1: a", "must be one value")),
    ("a book that cannot be read", lambda p: read_book_file(p / "none"), ("none", "No such file")),
    ("a book that is no YAML", lambda p: parse_book("a: [", "b.yaml"), ("b.yaml", "is not YAML")),
    ("a book of another shape", lambda p: parse_book("{}", "b.yaml"), ("b.yaml", "providers", "docs/prices.md")),
    ("a book's price", lambda p: parse_book(json.dumps(BOOK), "b.yaml"), ("b.yaml", "rates.input", "-1")),
    ("a book with a key twice", lambda p: parse_book("name: b\nname: c", "b.yaml"), ("b.yaml, line 2", "'name'", "remove one")),
    ("a book that is a contract", lambda p: parse_book(SIGNED, "c.yaml"), ("c.yaml is a contract", "tally contract sign c.yaml")),
    ("a book of a provider that it has not", lambda p: parse_book("{name: b, currency: USD, providers: [{id: a, models_of: [x], models: []}]}", "b.yaml"), ("providers[0].models_of[0]", "'x'", "add it")),
    ("a span without time", lambda p: reading.check_span({"since": "2026-02-01T00:00:00+00:00", "until": "2026-01-01T00:00:00+00:00"}, "2026-02-01", "2026-01-01"), ("--since 2026-02-01", "--until 2026-01-01", "swap them")),
    ("a book that is too large", seal_large_book, ("'genai-prices'", "bytes compressed", "split it")),
    # rules of runaways
    ("rules that cannot be read", lambda p: read_rules_file(p / "none"), ("none", "No such file", "name a YAML file")),
    ("rules that are no YAML", lambda p: parse_rules("a: [", "r.yaml"), ("r.yaml", "is not YAML")),
    ("a detector's threshold", lambda p: parse_rules("{detectors: {repeated_tool: 1}}", "r.yaml"), ("r.yaml", "detectors.repeated_tool", "1", "from 2 to 10,000, or off", "docs/runaways.md")),
    ("rules nested without end", lambda p: parse_rules("[" * 5_000, "r.yaml"), ("r.yaml", "shape of a document of runaway rules", "docs/runaways.md")),
    # contracts
    ("a contract that cannot be read", lambda p: read_contract_file(p / "none"), ("none", "No such file")),
    ("a contract that is no YAML", lambda p: parse_contract("a: [", "c.yaml"), ("c.yaml", "is not YAML")),
    ("a contract's discount", lambda p: parse_contract("{name: c, currency: USD, terms: [{discount: 110}]}", "c.yaml"), ("c.yaml", "terms[0].discount", "110", "docs/prices.md")),
    ("a contract that is nested without end", lambda p: parse_contract("[" * 5_000, "c.yaml"), ("c.yaml", "shape of a contract", "docs/prices.md")),
    ("a contract called by an address", lambda p: sign_contract(EmbeddedLog(p), Settings(home=p), "acme", parse_contract("{name: ann@example.com, currency: USD, terms: [{discount: 1}]}", "c")), ("'ann@example.com'", "e-mail address", "another `name`")),
    ("a contract that is not in force", lambda p: end_contract(EmbeddedLog(p), Settings(home=p), "acme", "x"), ("'x'", "acme", "in force: none")),
    ("a price book where a contract was signed", lambda p: open_contract(lambda digest: Catalogue(digest, parse_book(PRICED, "b")), "ab"), ("document ab", "no contract", "restore the log")),
    ("a contract where a price book was adopted", lambda p: open_book(lambda digest: ContractTerms(digest, parse_contract(SIGNED, "c")), "ab"), ("document ab", "no price book", "restore the log")),
    ("a contract that the audit finds adopted", lambda p: judge_wrong_document("price_book.adopted", parse_contract(SIGNED, "c")), ("no price book", "restore the log")),
    ("a price book that the audit finds signed", lambda p: judge_wrong_document("contract.signed", Book("ab", parse_book(PRICED, "b"))), ("no contract", "restore the log")),
    # files
    ("no file", lambda p: import_file(p), ("file.csv", "does not exist", "name a file")),
    ("a file that may not be read", import_forbidden_file, ("file.csv", "Permission denied", "nothing was imported")),
    ("a file that breaks off", lambda p: next(read_lines(FailingFile())), ("Input/output error", "importing it again adds what is missing")),
    ("an empty file", lambda p: import_file(p, b""), ("file.csv", "is empty")),
    ("a file that is compressed", lambda p: import_file(p, gzip.compress(b"x")), ("file.csv", "by gzip", "unpack it")),
    ("a workbook", lambda p: import_mapped_file(p, b"PK\x03\x04x"), ("file.csv", "workbook", "as CSV")),
    ("a file of UTF-16", lambda p: import_file(p, "x".encode("utf-16")), ("file.csv", "UTF-16", "save it as UTF-8")),
    ("a file of no format", lambda p: import_file(p, b"x,y"), ("file.csv", "no known format", "TIMESTAMP")),
    ("a pace", lambda p: import_file(p, b"", pace=0.0), ("--pace", "0.0", "above zero")),
    ("options of a trace", lambda p: import_file(p, lines(call("1")), source="x"), ("--source", "leave it out")),
    ("a start of absolute times", lambda p: import_file(p, b"TIMESTAMP,ContextTokens,GeneratedTokens", start=datetime.now(UTC)), ("--start", "absolute", "leave it out")),
    ("a source that is too long", lambda p: import_file(p, b"TIMESTAMP,ContextTokens,GeneratedTokens", source="x" * 600), ("--source", "512")),
    ("what a trace says", lambda p: import_file(p, b"", sets=["tokens=1"]), ("--set tokens", "leave it out")),
    ("a set without =", lambda p: import_file(p, b"", sets=["model"]), ("--set", "'model'", "--set model=gpt-4o")),
    ("a set that is twice", lambda p: import_file(p, b"", sets=["model=a", "model=b"]), ("--set model", "twice", "give it once")),
    ("a set of no field", lambda p: import_file(p, b"", sets=["modle=a"]), ("--set modle", "did you mean 'model'")),
    ("a set of another kind", lambda p: import_file(p, b"", sets=["latency_ms=x"]), ("--set latency_ms", "'x'", "integer")),
    # lines of traces
    ("a format that is none", lambda p: import_file(p, b"x,y", format="claud"), ("--format 'claud'", "claude-code")),
    ("a format and a mapping", lambda p: import_file(p, b"x", format="codex", mapping=p), ("--format and --mapping", "one of them")),
    ("what a source says", lambda p: import_file(p, CURSOR, sets=["provider=x"]), ("--set provider", "cursor-usage", "leave it out")),
    ("a start of rows with times", lambda p: import_file(p, CURSOR, start=datetime.now(UTC)), ("--start", "cursor-usage", "leave it out")),
    ("a folder without sessions", lambda p: import_folder(p, b'{"a": 1}'), ("sessions", "~/.claude/projects")),
    ("a folder that cannot be read", import_folder_that_cannot_be_read, ("cannot read f", "nothing was imported")),
    ("a document that is too long", lambda p: import_file(p, b"[" + b" " * (32 << 20) + b"]", format="openai-usage"), ("file.csv", "33,554,432 bytes", "jq -c")),
    ("a document that is cut", lambda p: import_file(p, b'[{"a": 1', format="openai-usage"), ("file.csv", "no JSON document", "export it again")),
    ("a row without a time", lambda p: import_rows(p, b"Date,Model\n,gpt-5", format="cursor-usage"), ("Date", "needs its time")),
    ("a row with no time", lambda p: import_rows(p, b"Date,Model\nsoon,gpt-5", format="cursor-usage"), ("Date", "ISO 8601")),
    ("a row without an id", lambda p: import_rows(p, b'{"timestamp": "2026-11-02", "modelId": "m"}', format="bedrock-invocation"), ("requestId", "is missing")),
    ("a response without a time", lambda p: import_rows(p, b'{"id": "batch_req_1"}', format="openai-batch"), ("time", "--start")),
    ("OpenAI: costs", lambda p: import_rows(p, b'{"object": "organization.costs.result"}', format="openai-usage"), ("amount", "is a cost")),
    ("Anthropic: costs", lambda p: import_rows(p, b'{"amount": "1"}', format="anthropic-usage"), ("amount", "is a cost")),
    ("a session: not UTF-8", lambda p: import_rows(p, b'{"type": "\xff", "usage": 1}', format="claude-code"), ("UTF-8",)),
    ("a session: cut off", lambda p: import_rows(p, b'{"usage": ', format="claude-code"), ("not JSON", "import the file again")),
    ("a session: a long line", lambda p: import_rows(p, b'{"usage": "' + b"x" * (1 << 20) + b'"}', format="claude-code"), ("1,048,589 bytes", "1,048,576")),
    ("a session: another form", lambda p: import_rows(p, b'{"type": "assistant", "message": {"usage": 1}}', format="claude-code"), ("message.usage", "form")),
    ("a session: no time", lambda p: import_rows(p, b'{"type": "assistant", "message": {"usage": {}}}', format="claude-code"), ("timestamp", "needs its time")),
    ("a session: no id", lambda p: import_rows(p, b'{"type": "assistant", "timestamp": "2026-11-02", "message": {"usage": {}}}', format="claude-code"), ("message.id", "is missing")),
    ("Azure: not UTF-8", lambda p: azure_llm_trace._parse_line(b"\xff"), ("UTF-8",)),
    ("Azure: columns", lambda p: azure_llm_trace._parse_line(b"x"), ("1 columns", "3 of the header")),
    ("Azure: time", lambda p: azure_llm_trace._parse_line(b"x,1,1"), ("TIMESTAMP", "must look like")),
    ("Azure: no moment", lambda p: azure_llm_trace._parse_line(b"2023-13-45 18:17:03.9799600,1,1"), ("TIMESTAMP", "calendar")),
    ("Azure: count", lambda p: azure_llm_trace._parse_line(b"2023-11-16 18:17:03.9799600,x,1"), ("ContextTokens", "whole number")),
    ("Mooncake: not UTF-8", lambda p: mooncake_trace.FORMAT.trace(datetime.now(UTC))(b'{"a":"\xff"}'), ("UTF-8",)),  # type: ignore[misc]
    ("Mooncake: no JSON", lambda p: mooncake_trace.FORMAT.trace(datetime.now(UTC))(b"{"), ("JSON", "one whole object a line")),  # type: ignore[misc]
    ("Mooncake: no object", lambda p: mooncake_trace.FORMAT.trace(datetime.now(UTC))(b"[]"), ("not a JSON object",)),  # type: ignore[misc]
    ("Mooncake: a field", lambda p: mooncake_trace.FORMAT.trace(datetime.now(UTC))(b'{"timestamp":"x"}'), ("timestamp", "must be")),  # type: ignore[misc]
    ("a trace's time", lambda p: import_refused_line(p, b"TIMESTAMP,ContextTokens,GeneratedTokens\n1023-11-16 18:17:03.9799600,1,1"), ("time", "between 2000 and 2200")),
    ("a line that is empty", lambda p: import_refused_line(p, b"TIMESTAMP,ContextTokens,GeneratedTokens\n\n2023-11-16 18:17:03,1,1"), ("is empty", "leave it out")),
    ("a line that is too long", lambda p: import_refused_line(p, b"TIMESTAMP,ContextTokens,GeneratedTokens\n" + b"1" * (2 << 20)), ("bytes", "may have")),
    # mappings
    ("a mapping that is not there", lambda p: import_file(p, b"x", mapping=p / "none"), ("--mapping", "none")),
    ("a mapping and a start", lambda p: import_file(p, b"x", mapping=Path(__file__), start=datetime.now(UTC)), ("--start", "leave it out")),
    ("a mapping and an empty file", lambda p: import_mapped_file(p, b""), ("file.csv", "is empty")),
    ("a mapping that is no YAML", lambda p: read_mapped_row("a: ["), ("map.yaml", "is not YAML")),
    ("a mapping's key", lambda p: read_mapped_row(SHEET | {"x": 1}), ("map.yaml", "x: Extra", "'1'", "docs/import.md")),
    ("a mapping's field", lambda p: read_mapped_row(SHEET | {"fields": {"x": "y"}}), ("map.yaml", "fields.x", "tags take any name")),
    ("a mapping's class", lambda p: read_mapped_row(SHEET | {"includes": {"output": []}}), ("map.yaml", "includes.output")),
    ("a mapping and a set", lambda p: read_mapped_row(SHEET | {"fields": {"model": "m"}}, sets={"model": "m"}), ("--set model", "leave it out")),
    ("a row without a time", lambda p: read_mapped_row(SHEET, {"id": "1"}), ("at", "is empty")),
    ("a row's time", lambda p: read_mapped_row(SHEET, {"id": "1", "at": "x"}), ("at", "ISO 8601")),
    ("a row without its id", lambda p: read_mapped_row(SHEET, {"at": "2026-01-01T00:00:00Z"}), ("id", "is empty")),
    ("a row's number", lambda p: read_mapped_row(SHEET, {"id": "1", "in": "x"}), ("in", "must be a number")),
    ("a row's count", lambda p: read_mapped_row(SHEET, {"id": "1", "in": "-1"}), ("in", "whole number")),
    ("a row's total", lambda p: read_mapped_row(SHEET | {"tokens": {"input": "in", "cache_read": "c"}, "includes": {"input": ["cache_read"]}}, {"in": 1, "c": 2}), ("in", "is 1 and is less than", "cache_read is 2", "includes.input")),
    ("a mapping's misspelled column", lambda p: import_mapped_file(p, b"at,inn\n", tokens={"input": "in"}), ("map.yaml", "file.csv", "tokens.input", "'in'", "the nearest is 'inn'", "optional")),
    ("a mapping's key of its own", lambda p: read_mapped_row(SHEET | {"fields": {"calls": "n"}}), ("map.yaml", "fields.calls", "`calls: column`")),
    ("a mapping's class in itself", lambda p: read_mapped_row(SHEET | {"includes": {"input": ["input"]}}), ("map.yaml", "includes.input", "name each part once")),
    ("a mapping's optional column", lambda p: read_mapped_row(SHEET | {"optional": ["inn"]}), ("map.yaml", "optional", "'inn'", "the nearest is 'in'")),
    ("a row's list for a number", lambda p: read_mapped_row(SHEET, {"id": "1", "in": []}), ("in", "plain digits")),
    ("a row's money for a count", lambda p: read_mapped_row(SHEET | {"numbers": {"currency": {"$": "USD"}}}, {"id": "1", "in": "$1"}), ("in", "amount of money", "another column")),
    ("a row's great count", lambda p: read_mapped_row(SHEET, {"id": "1", "in": 10**13}), ("in", "whole number", "1,000,000,000,000")),
    ("a row of no calls", lambda p: read_mapped_row(SHEET | {"calls": "n"}, {"id": "1", "in": "5", "n": "0"}), ("n", "is 0", "correct the file")),
    ("a dry run with a pace", lambda p: run_dry(None, make_settings(p), [], Options(pace=1), print), ("--pace", "leave one")),
    ("a CSV without a header", lambda p: import_mapped_file(p, b"a,a\n"), ("file.csv", "header")),
    ("a CSV's quote", lambda p: import_mapped_file(p, b'at,in\n"a"b,1\n'), ("is no row of CSV",)),
    ("a CSV's columns", lambda p: import_mapped_file(p, b"at,in\nx\n"), ("1 columns", "header has 2")),
    ("a CSV that is not UTF-8", lambda p: import_mapped_file(p, b"at,in\n\xff,1\n"), ("UTF-8",)),
    ("JSONL: no JSON", lambda p: import_mapped_file(p, b"{", "jsonl"), ("JSON", "one whole object a line")),
    ("JSONL: no object", lambda p: import_mapped_file(p, b"[]", "jsonl"), ("not a JSON object",)),
    ("JSONL: too long", lambda p: import_mapped_file(p, b"1" * (2 << 20), "jsonl"), ("bytes", "may have")),
    ("no Parquet", lambda p: import_mapped_file(p, b"x", "parquet"), ("file.csv", "Parquet")),
    # events
    ("not UTF-8", lambda p: INTAKE.accept(b'{"a":"\xff"}'), ("UTF-8",)),
    ("no JSON", lambda p: INTAKE.accept(b"{"), ("JSON", "one whole object a line")),
    ("no object", lambda p: INTAKE.accept(b"[]"), ("not a JSON object",)),
    ("a type", lambda p: INTAKE.accept(b'{"type":"x"}'), ("type", "tallystick.inference.v1")),
    ("a field", lambda p: INTAKE.accept(lines(call("1", latency_ms=-1))), ("data.latency_ms", "greater than or equal to 0")),
    ("a misspelled field", lambda p: INTAKE.accept(lines(call("1") | {"type": "tallystick.observation.v1", "data": {"metrc": "m"}})), ("data.metrc", "nearest is metric")),
    ("an unknown field", lambda p: INTAKE.accept(lines(call("1") | {"type": "tallystick.observation.v1", "data": {"of what": "m"}})), ("data.?", "the fields are of, session", "leave it out")),
    ("an organization called by an address", lambda p: pseudonym_secret_name("ann@example.com"), ("'ann@example.com'", "e-mail address", "choose another name")),
    ("a token for one", lambda p: tokens.create_token(p, ["ann@example.com"], ["write"]), ("'ann@example.com'", "e-mail address", "choose another name")),
    ("a price book called by an address", lambda p: adopt_price_book(EmbeddedLog(p), Settings(home=p), parse_book(ADDRESSED, "x")), ("'ann@example.com'", "e-mail address", "another `name`")),
    ("what is too long with a pseudonym in it", lambda p: Intake("key").accept_event(json.loads(lines(call("1", session="x" * 240 + " a@b.example")))), ("data.session", "at most 256", "counted with the pseudonyms of e-mail addresses")),
    ("a depth that no field has", lambda p: seal_event({"data": reduce(lambda inner, _: [inner], range(5_000), list[Any]())}), ("a depth that no field can have",)),
    ("an event that is too large", enter_large_event, ("bytes as an event", "may have 100")),
    ("the character NUL", lambda p: INTAKE.accept(lines(call("1", model="\0"))), ("NUL", "leave it out")),
    ("a record that is too large", lambda p: EmbeddedLog(p).append(EVENTS, [Draft(0, "k", {}, b"x" * MAX_RECORD_BYTES)]), ("a record of", "too large")),
    # over HTTP
    ("a Content-Type", lambda p: body.check_coding("text/plain", "identity"), ("Content-Type", "'text/plain'", "application/x-ndjson")),
    ("a Content-Encoding", lambda p: body.check_coding("application/json", "br"), ("Content-Encoding", "'br'", "gzip or zstd")),
    ("a body that is not packed", lambda p: body.unpack(b"x", "gzip"), ("gzip", "incomplete")),
    ("a body that is too large", lambda p: body.unpack(gzip.compress(bytes(5 << 20)), "gzip"), ("larger than 4,194,304 bytes", "send several")),
    ("a batch that is none", lambda p: body.split_events(b"{", "application/cloudevents-batch+json"), ("JSON array",)),
    ("a batch that is too large", lambda p: body.split_events(b"1\n" * 5001, "application/x-ndjson"), ("5,001", "5,000", "send several")),
    ("an event that is too long", lambda p: send_event(p, b"1" * (2 << 20)), ("bytes", "may have")),
    ("a decision without its right", lambda p: send_event(p, control()), ("type", "a token with the role admin")),
    ("a record that is not there", lambda p: outcomes.read_outcomes(EmbeddedLog(p), "acme", 0, 5), ("'acme'", "partition 0, offset 5", "names its position")),
    ("a form of usage that is not known", lambda p: usage.check_form("nobody"), ("'nobody'", "openai_chat", "use one of")),
    ("usage that is no JSON", lambda p: read_usage(b"{"), ("not JSON", "send a provider's response")),
    ("a line of responses that is no JSON", lambda p: read_response_line(b"{half"), ("not JSON", "write a response")),
    ("usage that is empty", lambda p: read_usage(b"", "text/event-stream"), ("empty", "send a provider's response")),
    ("a stream that is too long", lambda p: read_usage(b"data: 1\n" * 5001, "text/event-stream"), ("5,001", "5,000", "send those that have usage")),
    ("usage that is no object", lambda p: build_usage(7), ("not a JSON object", "send a provider's response")),
    ("usage without an id", lambda p: build_usage({}), ("id", "Tallystick-Id", "the same with a retry")),
    ("a header that stands twice", lambda p: read_headers(("tallystick-team", "a"), ("tallystick-team", "b")), ("'tallystick-team'", "twice", "send it once")),
    ("too many headers", lambda p: read_headers(*((f"tallystick-tags-{n}", "a") for n in range(65))), ("65 headers", "at most 64")),
    ("a header that is too long", lambda p: read_headers(("tallystick-id", "a" * 300)), ("Tallystick-Id", "300", "1 to 256")),
    ("a header that is no time", lambda p: read_headers(("tallystick-time", "noon")), ("Tallystick-Time", "RFC 3339")),
    ("a header without a zone", lambda p: read_headers(("tallystick-time", "2026-06-01T12:00:00")), ("Tallystick-Time", "zone", "2026-06-01T12:00:00Z")),
    ("a header that is no flag", lambda p: read_headers(("tallystick-stream", "yes")), ("Tallystick-Stream", "true nor false")),
    ("a request of OTLP that is none", lambda p: traces.read_spans(traces.find_encoding("application/json"), b"[]"), ("application/json", "ExportTraceServiceRequest")),
    ("a span without an id", lambda p: build_span(trace_id=""), ("id", "trace id of 16 bytes")),
    ("a span without a time", lambda p: build_span(start_ns=0), ("time", "start_time_unix_nano")),
    ("a span of no time", lambda p: build_span(start_ns=10**40), ("time", "nanoseconds since 1970")),
    # commands
    ("two folders", lambda p: copy_log(make_settings(p), make_settings(p), None), ("FROM and TO", "copy the folder")),  # type: ignore[arg-type]
    ("two clusters", lambda p: copy_log(Settings(log="kafka://h"), Settings(log="kafka://i"), None), ("FROM and TO", "copy to a folder")),  # type: ignore[arg-type]
    ("workers of an embedded log", lambda p: rebuild(Settings(home=p), 2), ("--workers is 2", "leave it out")),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_an_error_says_what_and_what_to_do(
    cause: Callable[[Path], object], words: tuple[str, ...], tmp_path: Path
) -> None:
    with pytest.raises(Exception) as raised:
        cause(tmp_path)
    text = getattr(raised.value, "detail", None) or str(raised.value)
    assert type(raised.value).__name__ in (
        "TallyError",
        "FileDamaged",
        "LogDamaged",
        "Rejection",
        "Problem",
        "Refusal",
    ), repr(raised.value)
    assert [word for word in words if word not in text] == [], text


def test_no_error_is_left_out(tmp_path: Path) -> None:
    places: set[tuple[str, int]] = set()
    with reaching(places):
        for number, (_, cause, _) in enumerate(CASES):
            folder = tmp_path / str(number)
            folder.mkdir()
            with suppress(Exception):  # what it says is looked at above
                cause(folder)
    all_sites = find_sites()
    missing = [
        site for site in all_sites
        if not any(site.file == file and site.first <= line <= site.last for file, line in places)
        and site.name not in ELSEWHERE
    ]  # fmt: skip
    assert missing == []
    assert ELSEWHERE.keys() <= {site.name for site in all_sites}
    for test in ELSEWHERE.values():
        file, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text(), test


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], ("No such command 'nonsense'", "--help")),
        (["import", "--nonsense"], ("Usage: tally import",)),
        (["status", "--nonsense"], ("No such option: --nonsense", "--help")),
        (["import", "x", "--pace", "fast"], ("--pace", "valid number")),
        (["log", "events", "--topic", "x"], ("'x'", "tally.events")),
        (["log", "events", "--offset", "1"], ("--offset", "--partition")),
        (["sql", "select 1", "--file", "x"], ("give one statement", "--file")),
        (["sql", "select 1", "--json", "--format", "CSV"], ("--json", "--format CSV", "give one")),
        (["sql", "--file", "/none"], ("--file", "/none")),
        (["sql", "--marts", "--format", "CSV"], ("--format CSV", "--json")),
        (["sql", "--marts", "--columns", "fct_usage"], ("give one", "--marts", "--columns")),
        (["subject", "erase", "", "--yes"], ("NAME", "1 to 256")),
        (["tail", "--where", "x"], ("--where", "'x'", "NAME=VALUE")),
    ],
)
def test_a_command_that_cannot_be_says_so_and_ends_with_2(
    arguments: list[str], words: tuple[str, ...], tmp_path: Path
) -> None:
    EmbeddedLog(tmp_path / "home").close()
    command = invoke(*arguments, TALLY_HOME=str(tmp_path / "home"))
    text = command.stderr + command.stdout
    assert command.returncode == 2 and "Traceback" not in text, text
    assert [word for word in words if word not in " ".join(text.split())] == [], text
