"""Joined identities: two keys are never one, and the same key is always the same id."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.adapters.identity import MAX_LENGTH, join_identity

PART = st.text(alphabet=st.sampled_from("ab,\\- \ud800"), max_size=6) | st.text(max_size=300)
KEYS = st.integers(2, 4).flatmap(lambda count: st.tuples(*[st.lists(PART, min_size=count, max_size=count)] * 2))


@given(KEYS)
def test_two_keys_are_never_one_id(keys: tuple[list[str], list[str]]) -> None:
    one, other = keys
    assert (join_identity(one) == join_identity(other)) == (one == other)


@given(st.lists(PART, min_size=1, max_size=4))
def test_an_id_has_at_most_the_characters_of_an_event(parts: list[str]) -> None:
    assert len(join_identity(parts)) <= MAX_LENGTH


@given(PART, PART)
def test_a_sole_part_stays_itself(one: str, other: str) -> None:
    assert len(one) > MAX_LENGTH or join_identity([one]) == one
    assert (join_identity([one]) == join_identity([other])) == (one == other)


def test_ids_stay_the_same_in_every_version() -> None:
    assert join_identity(["2026-11-02", "search-prod", "batch"]) == "2026-11-02,search-prod,batch"
    assert join_identity(["a,b", "c\\", ""]) == "a\\,b,c\\\\,"
    assert join_identity(["x" * 300]) == "x" * 223 + "~0d4e2ca9e9cbced7a7a5380eb29e1a37"
    with pytest.raises(ValueError, match="needs a part"):
        join_identity([])
