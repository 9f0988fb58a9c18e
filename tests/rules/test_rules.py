"""The table of cases, answered by the folds and by the audit."""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from audit.verify.contracts import open_document
from audit.verify.recompute import JudgedLine, Partition
from ledger.log import Record
from ledger.pricing.contract import pack_contract
from ledger.pricing.contract_file import parse_contract
from ledger.pricing.price_book import pack_book
from ledger.pricing.price_book_file import parse_book
from streams.replay import replay_outcomes
from tallystick import ANY_EVENT
from tests.streams.build import START, control, record

TABLE = yaml.load((Path(__file__).parent / "cases.yaml").read_text(), yaml.CSafeLoader)
BOOKS = {name: pack_book(parse_book(text, name)) for name, text in TABLE["books"].items()}
CONTRACTS = {name: pack_contract(parse_contract(text, name)) for name, text in TABLE["contracts"].items()}
DOCUMENTS = dict([*BOOKS.values(), *CONTRACTS.values()])

Unknown = tuple[
    str | None, str | None, Decimal | None, int | None, str | None, str | None, list[Decimal | None], Decimal | None
]
"""Pricing, its reason, the most that is missing, tokens in no line, tier's basis, billing month, bounds of lines, and
what a gateway's cache saved."""

Contracted = tuple[str | None, dict[str, list[Decimal | None]]]
"""The id of the contract, and contracted, effective and billed cost by class."""

Answer = tuple[str, str | None, dict[str, list[Any]], str | None, str | None, Decimal, Unknown, Contracted]
"""Outcome, reason, lines by class, price, currency, billed, what is not known, and what a contract made of it."""


def log(steps: list[dict[str, Any]]) -> list[Record]:
    records: list[Record] = []
    now = 0.0
    for at, step in enumerate(steps):
        (kind, said), *others = step.items()
        now = dict(others).get("now", now)
        if kind == "adopt":
            digest, _ = BOOKS[said]
            name = yaml.safe_load(TABLE["books"][said])["name"]
            line = control(f"adopt-{at}", "price_book.adopted", name=name, document=digest)
        elif kind == "sign":
            name = yaml.safe_load(TABLE["contracts"][said])["name"]
            line = control(f"sign-{at}", "contract.signed", name=name, document=CONTRACTS[said][0])
        elif kind == "end":
            line = control(f"end-{at}", "contract.ended", name=said)
        elif kind in ("tick", "correct"):
            said = dict(said)
            now = said.pop("now", now)
            data: dict[str, Any] = {}
            if kind == "correct":
                data = {"of": {"source": "test", "id": said.pop("of", "a")}, "reason": "a test"}
            event = {"id": f"{kind}-{at}", "source": "p", "time": said.pop("at", START.isoformat())}
            if "accepted" in said:
                said["accepted"] = {"offset": said["accepted"], "event_index": 0}
            event |= {"type": f"tallystick.{'correction' if kind == 'correct' else kind}.v1", "data": data | said}
            line = ANY_EVENT.validate_python(event, strict=False).canonical()
        elif kind == "alias":
            line = control(f"alias-{at}", "model.aliased", **said)
        elif kind == "restate":
            line = control(f"restate-{at}", "price.restated", **said)
        elif kind == "close":
            now = said.get("now", now)
            line = control(f"close-{at}", "period.closed", month=said["month"])
        elif kind == "raw":
            line = said.encode()
        else:
            said = dict(said)
            now = said.pop("now", now)
            event = {"id": str(said.pop("id", at)), "source": said.pop("source", "test")}
            event |= {"time": said.pop("at", START.isoformat()), "type": "tallystick.inference.v1", "data": said}
            line = ANY_EVENT.validate_python(event, strict=False).canonical()
        if "at" in step:
            line = line.replace(b'"time":"2026-01-05T12:00:00.000000Z"', b'"time":"%s"' % step["at"].encode())
            assert step["at"].encode() in line
        organization = "_platform" if kind == "restate" else "acme"
        lines = (line,) if line else (b"", b"")
        records.append(record(at, *lines, at_s=now, organization=organization))
    return records


def by_folds(records: Iterable[Record], documents: Mapping[str, bytes], but: str = "control") -> list[Answer]:
    return [
        (
            line["outcome"],
            line.get("reason"),
            {one["class"]: [one["quantity"], _decimal(one["list_cost"])] for one in line.get("lines", ())},
            line.get("price_id"),
            line.get("currency"),
            sum((Decimal(one["billed_cost"] or 0) for one in line.get("lines", ())), Decimal(0)),
            (
                line.get("pricing"),
                line.get("unpriced_reason"),
                _decimal(line.get("greatest_unpriced_cost")),
                line.get("unknown_tokens"),
                line.get("tier_basis"),
                line.get("billing_month"),
                [_decimal(one.get("greatest_cost")) for one in line.get("lines", ())],
                _decimal(line.get("saved_cost")),
            ),
            (
                line.get("contract_id"),
                {
                    one["class"]: [_decimal(one[f"{kind}_cost"]) for kind in ("contracted", "effective", "billed")]
                    for one in line.get("lines", ())
                },
            ),
        )
        for line in replay_outcomes(records, documents)
        if line["kind"] != but
    ]


def by_audit(records: Iterable[Record], documents: Mapping[str, bytes], but: str = "control") -> list[Answer]:
    records = list(records)

    def read_line(offset: int, event_index: int) -> bytes:
        return records[offset].value.split(b"\n")[event_index]

    partition = Partition(
        lambda digest: open_document(digest, documents[digest]), read_line, lambda first, end: records[first:end]
    )
    return [_answer(one) for found in records for one in list(partition.judge(found)) if one.kind != but]


def _answer(one: JudgedLine) -> Answer:
    rated = one.rated
    lines = rated.lines if rated else []
    unknown = (
        (rated.pricing, rated.reason, rated.greatest_cost, rated.unknown_tokens, rated.tier_basis) if rated else ()
    )
    return (
        one.outcome,
        one.reason,
        {line.name: [line.quantity, line.list_cost] for line in lines},
        one.rated.price_id if one.rated else None,
        one.rated.currency if one.rated else None,
        sum((line.billed_cost or Decimal(0) for line in lines), Decimal(0)),
        (
            *(unknown or (None,) * 5),
            one.billing_month,
            [line.greatest_cost for line in lines],
            rated.saved_cost if rated else None,
        ),
        (
            rated.contract_id if rated else None,
            {line.name: [line.contracted_cost, line.effective_cost, line.billed_cost] for line in lines},
        ),
    )


def _decimal(cost: str | None) -> Decimal | None:
    return None if cost is None else Decimal(cost)


@pytest.mark.parametrize("judge", [by_folds, by_audit])
@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_case(case: dict[str, Any], judge: Callable[..., list[Answer]]) -> None:
    answers = judge(log(case["do"]), DOCUMENTS)
    if case["do"][0] == {"raw": ""}:
        answers = answers[1:]  # one empty line cannot stand alone: it is written as two
    assert len(answers) == len(case["want"])
    for (outcome, reason, lines, price, currency, billed, unknown, contracted), want in zip(
        answers, case["want"], strict=True
    ):
        if isinstance(want, str):
            assert "/".join(filter(None, (outcome, reason))) == want
            continue
        names = ("quarantined", "replacement", "restatement", "release", "reversal")
        expected = next((name for name in names if name in want), "counted")
        assert (outcome, reason) == (expected, want.get("quarantined", want.get("from")))
        classes = want.get(outcome, {}) if outcome != "quarantined" else {}
        assert lines == {name: [quantity, _decimal(cost)] for name, (quantity, cost) in classes.items()}
        assert list(lines) == list(classes), "in the order of the classes"
        assert price == want.get("by", price) and currency == want.get("currency", currency)
        assert billed == Decimal(want.get("billed", billed))
        contract_id, costs = contracted
        assert (contract_id or "").partition("@")[0] == want.get("contract", "")
        for name, expected_costs in want.get("costs", {}).items():
            assert costs[name] == [_decimal(cost) for cost in expected_costs], name
        pricing, why, greatest, tokens, basis, month, _, saved = unknown
        assert month == want.get("month"), "the month in which it is billed, where it is another"
        assert saved == _decimal(want.get("saved", saved)), "what a cache saved"
        assert pricing == want.get("is", pricing) and why == want.get("why", why)
        assert greatest == _decimal(want.get("most", greatest)) and tokens == want.get("tokens", tokens)
        assert basis == want.get("tier", basis)
        assert pricing is None or (pricing in ("priced", "free")) == (why is None), (
            "a reason wherever a price is missing"
        )


def test_the_audit_and_the_folds_share_no_rule() -> None:
    """Only the event's definition, the log, the price documents, and how the warehouse is reached."""
    allowed = ("tallystick", "ledger", "warehouse.client", "audit", "clickhouse_connect", "msgspec", "pydantic", "rich")
    standard = (
        "bisect",
        "collections",
        "contextlib",
        "datetime",
        "decimal",
        "fractions",
        "functools",
        "heapq",
        "hashlib",
        "itertools",
        "json",
        "math",
        "multiprocessing",
        "operator",
        "os",
        "pathlib",
        "re",
        "shutil",
        "signal",
        "sqlite3",
        "time",
        "typing",
        "urllib",
    )
    for file in (Path(__file__).parents[2] / "audit").rglob("*.py"):
        for line in file.read_text().splitlines():
            if line.startswith(("import ", "from ")):
                module = line.split()[1]
                assert module.startswith((*allowed, *standard)), f"{file.name}: {line}"
