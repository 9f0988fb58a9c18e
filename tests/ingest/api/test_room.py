"""Shares: what one token may hold of the room, the connections and the turns, and what is left for the others."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ingest.api.connections import MIN_DROP_AGE_S, Connections
from ingest.api.room import Room, Shortage, compute_timeout_s
from ingest.api.turns import Turns
from tests.tally.conftest import eventually

TOTAL, SHARE, FLOOR = 100, 50, 10


@given(some.lists(some.tuples(some.sampled_from("abcdefgh"), some.integers(-60, 60)), max_size=60))
def test_a_floor_is_there_whatever_others_hold(steps: list[tuple[str, int]]) -> None:
    room = Room(TOTAL, SHARE, FLOOR)
    bytes_held: dict[str, int] = {}
    for token, count in steps:
        if count < 0:
            count = -min(bytes_held.get(token, 0), -count)
            room.give_back(token, -count)
        elif room.take(token, count) is not None:
            continue
        bytes_held[token] = bytes_held.get(token, 0) + count
    assert room.total_bytes == sum(bytes_held.values())
    assert all(count <= SHARE + FLOOR for count in bytes_held.values())
    assert sum(max(0, count - FLOOR) for count in bytes_held.values()) <= TOTAL
    assert room.take("another", FLOOR) is None
    for token, count in bytes_held.items():
        room.give_back(token, count)
    assert room.take("another", SHARE) is None


def test_why_there_is_no_room_is_told() -> None:
    room = Room(TOTAL, SHARE, FLOOR)
    assert room.take("a", SHARE + FLOOR + 1) is Shortage.SHARE
    assert room.take("a", SHARE + FLOOR) is None and room.take("b", SHARE + FLOOR) is None
    assert room.take("c", FLOOR + 1) is Shortage.TOTAL and room.take("c", FLOOR) is None


def test_a_body_has_more_time_as_long_as_it_comes() -> None:
    times = [
        compute_timeout_s(received, grace_s=10, min_bytes_per_s=100, max_s=30) for received in (0, 500, 1_900, 10**9)
    ]
    assert times == [10, 15, 29, 30]


class Peer:
    """A connection that notes that it was dropped."""

    def __init__(self, is_idle: bool = True) -> None:
        self.is_idle, self.dropped = is_idle, False

    def drop(self) -> None:
        self.dropped = True


def table(most: int = 100, most_of_address: int = 100, most_of_token: int = 100) -> tuple[Connections, list[float]]:
    now = [0.0]
    return Connections(most, most_of_address, most_of_token, lambda: now[0]), now


def add_peers(
    connections: Connections, count: int, address: str, token: str | None = None, is_idle: bool = True
) -> list[Peer]:
    peers = [Peer(is_idle) for _ in range(count)]
    for peer in peers:
        connections.add(peer, address)
        assert token is None or connections.assign(peer, token)
    return peers


def test_an_address_pushes_out_its_own_oldest() -> None:
    connections, now = table(most_of_address=10)
    other_peers, own_peers = add_peers(connections, 10, "them"), add_peers(connections, 1, "me")
    now[0] = MIN_DROP_AGE_S
    add_peers(connections, 5, "them")
    assert [peer.dropped for peer in other_peers] == [True] * 5 + [False] * 5
    assert not own_peers[0].dropped and len(connections) == 11


def test_what_was_just_opened_has_time_to_show_its_token() -> None:
    connections, _ = table(most_of_address=10)
    peers = add_peers(connections, 50, "a proxy")
    assert not any(peer.dropped for peer in peers)
    assert all(connections.assign(peer, f"{number}") for number, peer in enumerate(peers))


def test_the_newcomer_stays_and_who_has_most_without_a_token_loses() -> None:
    connections, _ = table(most=20)
    owned, idle_peers = add_peers(connections, 5, "them", "t"), add_peers(connections, 3, "few")
    other_peers = add_peers(connections, 100, "them")
    assert not any(peer.dropped for peer in (*owned, *idle_peers))
    assert [peer.dropped for peer in other_peers] == [True] * 88 + [False] * 12
    assert len(connections) == 20


def test_a_token_loses_its_oldest_idle_connection_and_no_busy_one() -> None:
    connections, _ = table(most_of_token=3)
    busy, idle = add_peers(connections, 2, "a", "t", is_idle=False), add_peers(connections, 1, "a", "t")
    newcomer = Peer(is_idle=False)
    connections.add(newcomer, "a")
    assert connections.assign(newcomer, "t") and idle[0].dropped and not any(peer.dropped for peer in busy)
    late = Peer(is_idle=False)
    connections.add(late, "a")
    assert not connections.assign(late, "t")
    peer = Peer()
    connections.add(peer, "a")
    assert connections.assign(peer, "another")


def test_a_newcomer_finds_room_among_busy_tokens_at_the_cost_of_the_largest() -> None:
    connections, _ = table(most=10)
    large, small = (
        add_peers(connections, 7, "a", "large", is_idle=False),
        add_peers(connections, 3, "b", "small", is_idle=False),
    )
    (newcomer,) = add_peers(connections, 1, "c")
    assert large[0].dropped and not newcomer.dropped and not any(peer.dropped for peer in small)
    connections.remove(newcomer)
    assert len(connections) == 9 and not connections.assign(large[0], "large")


@pytest.mark.parametrize("threads", [2, 8])
def test_turns_are_given_in_the_order_in_which_they_were_asked_for(threads: int) -> None:
    """One that takes turns all the time does not keep the others out."""
    turns, order = Turns(), list[str]()

    def work(name: str) -> None:
        with turns.turn():
            order.append(name)

    names = [str(number) for number in range(threads)]
    workers = [threading.Thread(target=work, args=(name,)) for name in names]
    with turns.turn():
        for waiting, worker in enumerate(workers, 1):
            worker.start()
            eventually(lambda: len(turns._waiting) == waiting)  # noqa: B023  (called at once)
    for _ in range(3):
        work("again")
    for worker in workers:
        worker.join()
    assert order == [*names, "again", "again", "again"]
