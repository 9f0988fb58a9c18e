"""A run: calls of one agent in a session that bring nothing new, one after the other (pure).

What a call brings is what its tool answered, whatever it was asked; the error with which it failed; what it asked a
tool for where its source keeps no hashes of results; or its prompt, where it used no tool. It is *known* where the
agent had it among its last few in the session. The first new thing ends a run, and begins the next.
"""

from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ledger.token_classes import INPUT_CLASSES
from streams.folds.call import Call, Dimensions
from streams.folds.runaways.agent_tree import AgentTree
from streams.folds.runaways.incident import Incident, Loss, project_loss
from streams.folds.runaways.pace import MINUTE_US, Pace

MAX_KNOWN = 8
"""What an agent had before it has so many others is new again; cycles of more steps are not seen."""
MAX_PROMPT_BITS = 6
"""Similarity hashes of prompts that differ in a word differ in so many bits of 64 at most."""
MIN_EVIDENCE = 3
NEWS_WEIGHT, MAX_NEWS = 2, 4
"""Of a runaway that was told, each call with something new weighs 2, and each without takes 1 away. At 4 it is over:
after two new things in a row, or where every second call brings one."""

Evidence = tuple[str, str, int, int, int]
"""Source, id and position of a call."""


class Signature(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The thing that a call brought, and what it was asked. Kinds: ``result``, ``error``, ``request``, ``prompt``."""

    kind: str
    tool: str
    brought: str
    asked: str

    def list_texts(self) -> tuple[str, str, str, str]:
        return self.kind, self.tool, self.brought, self.asked

    def is_known_by(self, other: "Signature") -> bool:
        """Tell whether the other brought the same."""
        if (self.kind, self.tool) != (other.kind, other.tool):
            return False
        return self.brought == other.brought or (self.kind == "prompt" and _is_near(self.brought, other.brought))


class Run(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The latest run of an agent in a session. Spent is at list price, whoever pays, in pico by currency.

    ``known`` is what the agent's last calls brought, ``calls`` all of the run, ``repeats`` those that brought what was
    known, with its first, ``exact_repeats`` those at its end that were asked the same too, ``intervals_us`` the first,
    the shortest, the longest and the last time from a call to the next, ``input_tokens`` those of the first and of the
    last call, ``has_worked`` whether the agent used tools shortly before, ``news`` the weight of new things within a
    runaway that was told. Only the run of a whole session has a ``tree``; it takes no notice of what its calls bring.
    """

    first: Signature
    known: tuple[Signature, ...]
    kinds: tuple[str, ...]
    calls: int
    repeats: int
    exact_repeats: int
    is_one_call: bool
    since_us: int
    last_us: int
    intervals_us: tuple[int, int, int, int]
    input_tokens: tuple[int, int]
    spent: tuple[tuple[str, int], ...]
    evidence: tuple[Evidence, ...]  # of the first calls
    team: str | None
    has_worked: bool = False
    news: int = 0
    incident: Incident | None = None
    pace: Pace | None = None
    tree: AgentTree | None = None

    @property
    def last_signature(self) -> Signature:
        return self.known[-1] if self.known else NO_SIGNATURE


class WatchedCall(NamedTuple):
    """The facts of a call that a run keeps."""

    time_us: int
    input_tokens: int | None
    evidence: Evidence
    team: str | None


NO_SIGNATURE = Signature("", "", "", "")


def sign_call(dimensions: Dimensions) -> Signature | None:
    """Return what a call brought; None where nothing tells it. Such a call neither goes on with a run nor ends it."""
    tool = dimensions.tool
    asked, result = dimensions.tool_arguments_hash, dimensions.tool_result_hash
    if dimensions.status == "error":
        return Signature("error", tool or "", dimensions.error_code or "", asked or "")
    if tool is not None:
        if result is not None:
            return Signature("result", tool, result, asked or "")
        return None if asked is None else Signature("request", tool, asked, asked)
    prompt = dimensions.prompt_hash
    return None if prompt is None else Signature("prompt", "", prompt, prompt)


def count_input_tokens(call: Call) -> int | None:
    """Return the tokens of a call's prompt, cached ones too; None where they are not known."""
    if call.tokens is None:
        return None
    return sum(tokens for name, tokens in call.tokens.items() if name in INPUT_CLASSES)


def begin_run(known: tuple[Signature, ...], signature: Signature, call: WatchedCall) -> Run:
    """Return the run that a call with something new begins."""
    tokens = call.input_tokens or 0
    return Run(
        signature, (*known, signature)[-MAX_KNOWN:], (signature.kind,), 1, 1, 0, True, call.time_us, call.time_us,
        (0, 0, 0, 0), (tokens, tokens), (), (call.evidence,), call.team,
        any(past.kind != "prompt" for past in known),
    )  # fmt: skip


def begin_unsigned(call: WatchedCall) -> Run:
    """Return the run of calls of which nothing tells what they bring."""
    return replace(begin_run((), NO_SIGNATURE, call), known=())


def continue_run(run: Run, signature: Signature, call: WatchedCall) -> Run:
    """Return the run with one more call, which brought what is known."""
    interval_us = max(0, call.time_us - run.last_us)
    first_us, shortest_us, longest_us, _ = run.intervals_us if run.repeats > 1 else (interval_us,) * 4
    is_exact = any(signature.is_known_by(known) and signature.asked == known.asked for known in run.known)
    is_same = signature == run.last_signature
    rest = tuple(known for known in run.known if known != signature)
    return replace(
        run,
        known=(*rest, signature)[-MAX_KNOWN:],
        kinds=run.kinds if signature.kind in run.kinds else tuple(sorted((*run.kinds, signature.kind))),
        calls=run.calls + 1,
        repeats=run.repeats + 1,
        exact_repeats=run.exact_repeats + 1 if is_exact else 0,
        is_one_call=run.is_one_call and is_same,
        last_us=max(run.last_us, call.time_us),
        intervals_us=(first_us, min(shortest_us, interval_us), max(longest_us, interval_us), interval_us),
        input_tokens=(run.input_tokens[0], run.input_tokens[1] if call.input_tokens is None else call.input_tokens),
        evidence=run.evidence if len(run.evidence) >= MIN_EVIDENCE else (*run.evidence, call.evidence),
        news=max(0, run.news - 1),
    )


def take_call(run: Run, time_us: int) -> Run:
    """Return the run after a call that neither goes on with it nor ends it."""
    return replace(run, calls=run.calls + 1, last_us=max(run.last_us, time_us))


def take_news(run: Run, signature: Signature, time_us: int) -> Run | None:
    """Return the run after a call that brought something new; None where that ends it. A runaway that was told goes on
    through an error, or a single new thing, and while it spends too fast."""
    news = run.news + NEWS_WEIGHT
    if run.incident is None:
        return None
    if run.pace is not None and run.pace.is_fast:
        return take_call(run, time_us)
    if news >= MAX_NEWS:
        return None
    known = (*run.known, signature)[-MAX_KNOWN:]
    return replace(take_call(run, time_us), known=known, news=news)


def is_known(run: Run, signature: Signature) -> bool:
    """Tell whether the agent had what this call brought among its last. What a tool was not asked before is news where
    another tool was used in between: an edit says that it is done, and the linter that there is nothing to find."""
    known = [past for past in run.known if signature.is_known_by(past)]
    if not known:
        return False
    is_same_tool = signature.tool == run.last_signature.tool
    return any(signature.kind != "result" or is_same_tool or signature.asked == past.asked for past in known)


def project_run(run: Run) -> Loss:
    """Project what a run costs in an hour: at the rate of its calls, or of the minute in which it spends too fast."""
    if run.pace is not None and run.pace.is_fast:
        spent = dict(run.spent)
        rate = project_loss(((run.pace.currency, run.pace.cost),), MINUTE_US).per_hour
        return Loss(rate, tuple((currency, amount + spent.get(currency, 0)) for currency, amount in rate))
    return project_loss(run.spent, run.last_us - run.since_us)


def _is_near(prompt: str, other: str) -> bool:
    """Tell whether two similarity hashes of 64 bits, in hexadecimal digits, are of prompts that hardly differ."""
    if len(prompt) != 16 or len(other) != 16:
        return False
    try:
        return (int(prompt, 16) ^ int(other, 16)).bit_count() <= MAX_PROMPT_BITS
    except ValueError:
        return False
