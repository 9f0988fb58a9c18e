"""Runs that give parts of their grant on to others (prime-agent#1192): what is spent stays spent, nothing comes back
before it is settled, and each refusal says why."""

from datetime import UTC, datetime
from typing import Any

from ingest.api.admissions import describe_reply
from ingest.api.replies import Reply
from ledger.log import Position
from tests.streams.build import call
from tests.streams.folds.grants.test_grant_fold import grant, list_decisions, list_reasons, read_bodies
from tests.streams.folds.grants.test_requests import ask

LIMIT = "tokens//total"


def run(name: str, amount: int, control_type: str = "grant.delegated", **fields: Any) -> bytes:
    """Give a run a grant of tokens for its life."""
    limits = [{"meter": "tokens", "amount": amount}]
    return grant(f"{control_type} {name}", name, control_type, limits=limits, delegable=True, **fields)


def spend(id: str, team: str, tokens: int, **fields: Any) -> bytes:
    return call(id, 0, team=team, tokens={"input": tokens}, **fields)


def list_sentences(decisions: list[dict[str, Any]]) -> list[str]:
    """Return the answer to each ask: allow, or the sentence of its refusal."""
    answers = [
        describe_reply("a", Position(0, 0, 0), Reply("counted", body), datetime(2026, 1, 5, tzinfo=UTC))
        for body in read_bodies(decisions, "admission.decided")
    ]
    return [answer.get("detail", answer["answer"]) for answer in answers]


def test_a_child_gives_on_no_more_than_it_has_left() -> None:
    decisions = list_decisions(
        (0, run("root", 100, "grant.created")),
        (0, run("child", 100, parent="root")),
        (1, spend("s", "child", 90)),
        (2, run("grandchild", 100, parent="child")),
        (3, run("small", 10, parent="child")),
        (4, ask("a", team="small", max_tokens=10)),
        (5, ask("b", team="small", max_tokens=1)),
        (6, run("late", 1, parent="child")),
    )
    assert list_reasons(decisions) == [f"{LIMIT}: 'child' has less than that left"] * 2
    assert list_sentences(decisions) == [
        "allow",
        f"calls under way hold what grant 'small' has left of its limit {LIMIT}: ask again after Retry-After",
    ]


def test_nothing_comes_back_while_calls_of_a_child_still_run() -> None:
    decisions = list_decisions(
        (0, run("root", 100, "grant.created")),
        (0, run("child", 80, parent="root")),
        (1, ask("a", team="child", max_tokens=80)),
        (2, grant("revoke", "child", "grant.revoked")),
        (3, ask("b", team="root", max_tokens=30)),
        (4, run("other", 30, parent="root")),
        (5, spend("s", "child", 50, admission="a")),
        (6, ask("c", team="root", max_tokens=50)),
        (7, ask("d", team="child", max_tokens=1)),
    )
    assert list_reasons(decisions) == [f"{LIMIT}: 'root' has less than that left"]
    assert list_sentences(decisions) == [
        "allow",
        f"calls under way hold what grant 'root' has left of its limit {LIMIT}: ask again after Retry-After",
        "allow",
        "grant 'child' is revoked",
    ]


def test_a_pause_inside_a_child_lifts_nothing_and_a_resumed_child_has_what_is_left_of_its_grant() -> None:
    decisions = list_decisions(
        (0, run("root", 100, "grant.created")),
        (0, run("child", 60, parent="root")),
        (1, spend("s", "child", 40)),
        (2, grant("pause", "child", "grant.narrowed", paused=True)),
        (3, ask("a", team="child", max_tokens=1)),
        (4, ask("b", team="root", max_tokens=70)),
        (5, ask("c", team="root", max_tokens=10)),
        (6, grant("resume", "child", "grant.extended", paused=False)),
        (7, ask("d", team="child", max_tokens=21)),
        (8, ask("e", team="child", max_tokens=20)),
    )
    assert list_sentences(decisions) == [
        "grant 'child' is paused",
        f"grant 'root' has 60 left of its limit {LIMIT}, and this call may take more",
        "allow",
        f"grant 'child' has 20 left of its limit {LIMIT}, and this call may take more",
        "allow",
    ]


def test_a_pause_keeps_the_floor_that_a_resumed_child_finds() -> None:
    day = {"meter": "tokens", "window": {"rolling_s": 86_400}}
    decisions = list_decisions(
        (0, grant("r", "root", limits=[day | {"amount": 100}])),
        (0, grant("c", "child", parent="root", limits=[day | {"amount": 60, "floor": 40}])),
        (0, grant("o", "other", parent="root", limits=[day | {"amount": 100}])),
        (1, grant("pause", "child", "grant.narrowed", paused=True)),
        (2, spend("s", "other", 50)),
        (3, ask("a", team="other", max_tokens=11)),
        (4, grant("resume", "child", "grant.extended", paused=False)),
        (5, ask("b", team="child", max_tokens=40)),
    )
    assert list_sentences(decisions) == [
        "grant 'root' keeps 40 of its limit tokens//86400s for grants with a floor there (child), and has 10 left for "
        "others",
        "allow",
    ]
