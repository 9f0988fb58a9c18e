"""A query that ignores its end gives its turn back; too many of them are not borne."""

import threading

import pytest

from warehouse.embedded.analyst import query_slots
from warehouse.embedded.analyst.query_slots import MAX_STUCK_QUERIES, QuerySlots
from warehouse.embedded.errors import QueryFailed


def test_what_does_not_end_is_given_up_and_too_many_end_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_slots, "END_TIMEOUT_S", 0.1)
    monkeypatch.setattr(query_slots, "POLL_INTERVAL_S", 0.05)
    over, overrun, discarded = threading.Event(), threading.Event(), threading.Semaphore(0)
    places = QuerySlots(overrun.set)

    def stuck() -> str:
        over.wait(60)
        return "late"

    for number in range(MAX_STUCK_QUERIES + 1):
        assert not overrun.is_set(), number
        with pytest.raises(QueryFailed, match="did not end when it was cancelled") as refused:
            places.run(stuck, lambda late: discarded.release(), lambda: None, lambda: False, 0.1)
        assert refused.value.code == 159
    assert overrun.is_set()
    assert places.run(lambda: "soon", lambda late: None, lambda: None, lambda: False, 30) == "soon"
    over.set()
    for _ in range(MAX_STUCK_QUERIES + 1):
        assert discarded.acquire(timeout=30)
