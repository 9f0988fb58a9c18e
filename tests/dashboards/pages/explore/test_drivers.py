"""The drivers of a change: they add up to it exactly, and each is what it says."""

from decimal import Context, Decimal

from hypothesis import given
from hypothesis import strategies as st

from dashboards.pages.explore.drivers import DRIVERS, Drivers, Segment, compute_drivers

PRECISE = Context(prec=60)
amounts = st.integers(-(10**30), 10**30).map(lambda number: Decimal(number).scaleb(-12, PRECISE))
tokens = st.integers(-(10**15), 10**15) | st.just(0)
segments = st.lists(st.builds(Segment, st.text(max_size=3), amounts, tokens, amounts, tokens), max_size=8)


@given(segments)
def test_they_add_up_to_the_change_to_the_last_digit(segments: list[Segment]) -> None:
    change = sum(to_integer(segment.now) - to_integer(segment.before) for segment in segments)
    drivers = compute_drivers(segments)
    assert sum(to_integer(getattr(drivers, name)) for name in DRIVERS) == change
    assert to_integer(drivers.change) == change


def to_integer(amount: Decimal) -> int:
    return int(amount.scaleb(12, PRECISE))


def build(now: str, now_tokens: int, before: str, before_tokens: int) -> Segment:
    return Segment("a", Decimal(now), now_tokens, Decimal(before), before_tokens)


def list_main(drivers: Drivers) -> list[str]:
    return [f"{amount.normalize():f}" for amount in (drivers.volume, drivers.mix, drivers.price)]


def test_more_of_the_same_is_volume() -> None:
    drivers = compute_drivers([build("30", 300, "10", 100), build("60", 300, "20", 100)])
    assert list_main(drivers) == ["60", "0", "0"]


def test_the_same_tokens_at_another_price_are_price() -> None:
    drivers = compute_drivers([build("5", 100, "10", 100), build("20", 100, "20", 100)])
    assert list_main(drivers) == ["0", "0", "-5"]


def test_tokens_that_move_to_a_dearer_model_are_mix() -> None:
    drivers = compute_drivers([build("0.5", 50, "1", 100), build("15", 150, "10", 100)])
    assert list_main(drivers) == ["0", "4.5", "0"]
    assert drivers.find_main() == ("mix", Decimal("4.5"))


def test_what_is_new_or_gone_or_has_no_tokens_stands_by_itself() -> None:
    drivers = compute_drivers([
        build("7", 10, "0", 0), build("0", 0, "3", 10), build("2", 0, "1", 0), build("0", 0, "0", 0),
    ])  # fmt: skip
    assert [drivers.added, drivers.removed, drivers.remainder] == [Decimal(7), Decimal(-3), Decimal(1)]
    assert (drivers.added_count, drivers.removed_count) == (1, 1) and drivers.change == 5
