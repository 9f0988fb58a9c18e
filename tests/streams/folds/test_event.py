"""A line read with the vocabulary's types and one read with care are the same event."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from streams.folds import event
from streams.folds.call import read_line
from streams.folds.schema_check import find_schema_mismatch
from tests.rules.test_agree import lines
from tests.streams.build import call


@pytest.mark.parametrize("examples", [500, pytest.param(50_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_it_does_not_matter_how_a_line_is_read(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(lines)
    def same(line: bytes) -> None:
        read = event.parse_line(0, line, "acme")
        slowly = event._parse_untyped(0, line, "acme")
        assert read == slowly
        if read.kind == "inference":
            assert (read.call is None) == (
                find_schema_mismatch("inference", msgspec.json.decode(line)["data"]) is not None
            )

    same()


def test_what_the_intake_accepts_is_read_at_once() -> None:
    whole = call(
        "1", session="s", tags={"a": "b"}, acting_for=("p",), tokens={"input": 1}, quantities={"images": 2},
        reported_tokens={"total": 1}, provider_usage={"a": 1, "b": {"c": 2}}, propensity=Decimal("0.5"),
        claimed_cost=Decimal("1.25"), rate_limits=[{"dimension": "requests", "limit": 3}],
        violations=[{"code": "x", "path_hash": "y"}],
    )  # fmt: skip
    assert read_line(whole).data.session == "s"
    read = event.parse_line(0, whole, "acme").call
    assert read is not None
    assert msgspec.json.encode(read.dimensions) == (
        b'{"session":"s","acting_for":["p"],"tags":{"a":"b"},"model":"m1","propensity":"0.5","claimed_cost":"1.25"}'
    )
