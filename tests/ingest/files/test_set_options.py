"""``--set``: what a trace does not say."""

import pytest

from ingest.files.set_options import parse_set_options
from ledger.errors import TallyError


def test_values_take_the_type_of_their_field() -> None:
    sets = ["model=gpt-4o", "attempt=2", "team=7", "propensity=0.25", "tags.tier=gold=1", "tags.a.b=c", "user=ann"]
    assert parse_set_options(sets, ()) == {
        "model": "gpt-4o", "attempt": 2, "team": "7", "propensity": "0.25",
        "tags": {"tier": "gold=1", "a.b": "c"}, "user": "ann",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["model"], "must look like field=value"),
        (["modle=x"], "no field 'modle'; did you mean 'model'"),
        (["xyzzy=red"], "no field 'xyzzy'; tags take any name"),
        (["data.model=x"], "no field 'data.model'"),
        (["tokens=5"], "the trace has 'tokens' itself"),
        (["tokens.input=5"], "the trace has 'tokens' itself"),
        (["model="], "model cannot be ''"),
        (["attempt=-1"], "attempt cannot be -1"),
        (["attempt=many"], "attempt cannot be 'many'"),
        (["status=fine"], "status cannot be 'fine'"),
        (["acting_for=ann"], "acting_for cannot be 'ann'"),
        (["model=a", "model=b"], "given twice"),
        (["tags.a=1", "tags.a=2"], "given twice"),
        (["tags.a="], "cannot be ''"),
        (["tags=x"], "tags cannot be 'x'"),
    ],
)
def test_what_cannot_be_set_is_told(sets: list[str], message: str) -> None:
    with pytest.raises(TallyError, match="--set") as error:
        parse_set_options(sets, {"tokens"})
    assert message in str(error.value)
