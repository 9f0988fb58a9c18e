"""The HTTP API: authorization, and the response to each request."""

import asyncio
import functools
import hashlib
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

import anyio
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ingest.api import admissions, authorize, body, leases, metrics, traces, usage
from ingest.api.accept_events import (
    Answer,
    Attempt,
    accept_built,
    accept_events,
    append_attempts,
    describe_position,
    list_kinds,
    make_draft,
    try_built,
    try_event,
)
from ingest.api.access import RETRY_DELAY_S, Access, get_header
from ingest.api.decisions import stream
from ingest.api.decisions.feed import Feed
from ingest.api.event_headers import EventHeaders, read_event_headers
from ingest.api.group_commit import Appender, Gatherer, Prepared
from ingest.api.openapi import describe_api
from ingest.api.outcomes import read_outcomes
from ingest.api.problem import Problem, render_problem
from ingest.api.replies import Replies
from ingest.api.room import Room, Shortage, compute_timeout_s
from ingest.intake.intake import REQUEST_KINDS, decode, encode
from ingest.intake.limits import MAX_LINE_BYTES
from ingest.intake.rejection import Rejection
from ingest.leases.holder import Holder
from ingest.leases.holdings import Admitted, Conflict
from ingest.spans.calls import ChargedParents, select_calls
from ledger.errors import TallyError
from ledger.home.tokens import Role, Token
from ledger.log import Log, Position
from ledger.log.open import open_log
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from tallystick.client.steady_clock import read_clock_s

MAX_THREADS, MAX_TOKEN_THREADS = 16, 4
"""Requests in work at once, of all tokens and of one; most of them wait for the log."""
MAX_BODY_ROOM_BYTES, MAX_TOKEN_ROOM_BYTES, MIN_TOKEN_ROOM_BYTES = 32 << 20, 16 << 20, MAX_LINE_BYTES
"""Bytes of bodies that are being received or wait for work, of all tokens and of one: beyond it a request is answered
503. The minimum is reserved for each token, so its single event always finds room."""
BODY_TIMEOUT_S = 30
"""The time within which a body must arrive."""
BODY_GRACE_S, MIN_BODY_BYTES_PER_S = 10, 8 << 10
"""A body may take the grace, and longer only while its bytes arrive at this rate."""
MAX_SMALL_BYTES = 16 << 10
"""A single event up to this size is parsed and appended together with others."""
READY_TIMEOUT_S = 3

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]
Render = Callable[[Request, Problem], Response]


class Submission(NamedTuple):
    """A body that has arrived: its sender, its form, and the fields that its headers carry."""

    token: Token
    organization: str
    packed: bytes
    content_type: str
    coding: str
    headers: EventHeaders
    path_params: Mapping[str, Any]

    def unpack(self) -> bytes:
        return body.unpack(self.packed, self.coding)

    def is_small(self) -> bool:
        """Tell whether it is one event, so small that parsing it delays nobody."""
        return (
            self.coding == "identity"
            and len(self.packed) <= MAX_SMALL_BYTES
            and body.is_single(self.packed, self.content_type)
        )


class Api:
    """The application over one log and the tokens of one home. ``reader`` is the same log, opened once more: a read on
    the connection that appends would see records that are not durable yet."""

    def __init__(self, settings: Settings, log: Log, reader: Log) -> None:
        self._home = settings.home
        self._appender = Appender(log)
        self._gatherer = Gatherer(self._appender)
        self._reader = reader
        self._reader_lock = threading.Lock()
        self._replies = Replies(lambda: open_log(settings), is_woken=settings.log is None)
        self._leases = Holder(self._append_leases, self._replies.wait_for)
        self.feed = Feed(lambda: open_log(settings), is_woken=settings.log is None)
        self._threads = anyio.CapacityLimiter(MAX_THREADS)
        self._token_threads: dict[str, anyio.CapacityLimiter] = {}
        self._room = Room(MAX_BODY_ROOM_BYTES, MAX_TOKEN_ROOM_BYTES, MIN_TOKEN_ROOM_BYTES)
        self._charged_parents = ChargedParents()
        self._counts = metrics.Counts(lambda: self._room.total_bytes)
        self._access = Access(settings.home, self._counts)
        self._authorize = self._access.authorize

    def app(self, lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None) -> Starlette:
        def route(path: str, handler: Handler, *methods: str, render: Render = _render_plainly) -> Route:
            return Route(path, self._wrap_handler(path, handler, render), methods=methods or ("GET",))

        app = Starlette(
            routes=[
                route("/v1/events", self._post_events, "POST"),
                route("/v1/events/{partition:int}/{offset:int}", self._get_outcomes),
                route("/v1/usage/{form}", self._post_usage, "POST"),
                route("/v1/traces", self._post_traces, "POST", render=traces.render_problem),
                route("/v1/admissions", self._post_admissions, "POST"),
                route("/v1/admissions/{admission:path}", self._delete_admission, "DELETE"),
                route("/v1/leases", self._post_lease, "POST"),
                route("/v1/leases/{lease:path}/return", self._post_return, "POST"),
                route("/v1/decisions", self._get_decisions),
                route("/v1/authorize", self._authorize_call, *authorize.METHODS),
                route("/v1/authorize/{path:path}", self._authorize_call, *authorize.METHODS),
                route("/v1/token", self._get_token),
                route("/openapi.json", self._get_openapi),
                route("/healthz", self._get_health),
                route("/readyz", self._get_readiness),
                route("/metrics", self._get_metrics),
            ],
            exception_handlers={404: _respond_unknown, 405: _respond_unknown},
            lifespan=lifespan,
        )
        app.router.redirect_slashes = False  # a redirect would name the host that the request names
        return app

    def wake(self) -> None:
        """Look at the log at once: something was derived."""
        self.feed.wake()
        self._replies.wake()

    def close(self) -> None:
        self._leases.close()
        self._replies.close()
        self.feed.close()

    def _wrap_handler(self, path: str, handler: Handler, render: Render) -> Handler:
        """Wrap a handler: errors become problems, and every request is counted."""

        @functools.wraps(handler)
        async def respond(request: Request) -> Response:
            try:
                response = await handler(request)
            except Problem as problem:
                response = render(request, problem)
            except (TallyError, sqlite3.Error, OSError) as error:
                response = render(request, _log_problem(error))
            self._counts.count_request(path, response.status_code)
            return response

        return respond

    async def _post_events(self, request: Request) -> Response:
        return await self._post(request, body.EVENTS, ("write", "admin"), self._accept_events, self._prepare_event)

    async def _post_usage(self, request: Request) -> Response:
        usage.check_form(request.path_params["form"])
        return await self._post(request, usage.KINDS, ("write",), self._accept_usage)

    async def _post_traces(self, request: Request) -> Response:
        return await self._post(request, traces.KINDS, ("write",), self._accept_traces)

    async def _post_admissions(self, request: Request) -> Response:
        pending = await self._post(request, admissions.KINDS, ("write",), self._append_asks, self._prepare_ask)
        answers = await self._answer_asks(pending)
        return admissions.render_answers(answers, is_single=pending.is_single)

    async def _answer_asks(self, pending: admissions.Pending) -> list[dict[str, Any]]:
        """Answer asks by the folds' replies and from leases, and count them."""
        replies = await self._replies.wait_for(pending.positions, admissions.REPLY_TIMEOUT_S)
        for position, reply in replies.items():
            if reply.body is not None:
                ask = pending.asks[position]
                self._leases.holdings.note_answer(
                    ask.organization, ask.principal, ask.fields, reply.body, read_clock_s()
                )
        self._leases.tend()
        answers = admissions.describe_answers(pending, replies, datetime.now(UTC))
        self._counts.count_admissions(admissions.list_counted_answers(answers))
        return answers

    async def _delete_admission(self, request: Request) -> Response:
        token, organization = self._authorize(request, ("write",))
        admission = request.path_params["admission"]
        if self._leases.holdings.release(organization, admission):
            self._leases.tend()
            return admissions.render_released(admission)
        append = functools.partial(self._append_release, token, organization, admission)
        position = await self._run_in_thread(token, append)
        replies = await self._replies.wait_for([position], admissions.REPLY_TIMEOUT_S)
        return admissions.render_release(admission, position, replies.get(position))

    async def _post_lease(self, request: Request) -> Response:
        id, position = await self._post(request, leases.KINDS, ("write",), self._append_lease)
        replies = await self._replies.wait_for([position], admissions.REPLY_TIMEOUT_S)
        return leases.render_lease(id, position, replies.get(position), datetime.now(UTC))

    async def _post_return(self, request: Request) -> Response:
        _, position = await self._post(request, leases.KINDS, ("write",), self._append_return)
        replies = await self._replies.wait_for([position], admissions.REPLY_TIMEOUT_S)
        return leases.render_return(request.path_params["lease"], position, replies.get(position))

    async def _authorize_call(self, request: Request) -> Response:
        token, organization = self._authorize(request, ("write",))
        refusal_status = authorize.read_refusal_status(request.headers)
        asks = authorize.read_ask(request.headers)
        pending = await self._gatherer.work(
            token.id, functools.partial(self._prepare_single_ask, token, organization, asks)
        )
        (answer,) = await self._answer_asks(pending)
        return authorize.render_answer(answer, refusal_status)

    async def _post(
        self, request: Request, kinds: body.Kinds, roles: tuple[Role, ...], accept: Callable[[Submission], T],
        prepare: Callable[[Submission], Prepared] | None = None,
    ) -> T:  # fmt: skip
        """Receive a body and accept what it holds, in a thread; gather a small one that ``prepare`` takes."""
        token, organization = self._authorize(request, roles)
        content_type = get_header(request, "content-type") or ""
        coding = get_header(request, "content-encoding", separator=", ")
        coding = body.check_coding(content_type, "identity" if coding is None else coding, kinds)
        headers = read_event_headers(request.headers)
        received = bytearray()
        try:
            await self._receive_body(request, token, received)
            packed = bytes(received)
            submission = Submission(token, organization, packed, content_type, coding, headers, request.path_params)
            if prepare is not None and submission.is_small():
                gathered: T = await self._gatherer.work(token.id, functools.partial(prepare, submission))
                return gathered
            return await self._run_in_thread(token, functools.partial(accept, submission))
        finally:
            self._room.give_back(token.id, len(received))

    async def _run_in_thread(self, token: Token, work: Callable[[], T]) -> T:
        """Call ``work`` in a thread. Requests of one token wait for each other before they wait for those of others."""
        token_limiter = self._token_threads.setdefault(token.id, anyio.CapacityLimiter(MAX_TOKEN_THREADS))
        async with token_limiter:
            return await anyio.to_thread.run_sync(work, limiter=self._threads)

    def _accept_events(self, submission: Submission) -> Response:
        events = body.split_events(submission.unpack(), submission.content_type)
        answer = self._measure(
            lambda: accept_events(self._appender, self._home, submission.token, submission.organization, events.raw)
        )
        return _render_answer(answer, is_single=events.single)

    def _prepare_event(self, submission: Submission) -> Prepared:
        """Prepare a single event. A rejected one is appended as such at once."""
        token, organization, start_s = submission.token, submission.organization, time.perf_counter()
        events = body.split_events(submission.packed, submission.content_type)
        attempt = try_event(self._appender, self._home, token, organization, *events.raw)
        outcome, kinds = attempt.outcome, list_kinds(token)
        if isinstance(outcome, Rejection):
            answer = self._measure(
                lambda: append_attempts(self._appender, self._home, token.id, organization, [attempt], kinds)
            )
            return Prepared(None, lambda _: _render_answer(answer, is_single=True))
        removed = outcome.removed

        def conclude(position: Position | None) -> Response:
            assert position is not None
            self._counts.count_events(1, 0, time.perf_counter() - start_s)
            return _render_answer(Answer([describe_position(position)], 0, removed), is_single=True)

        return Prepared(make_draft(organization, token.id, outcome.line), conclude)

    def _accept_usage(self, submission: Submission) -> Response:
        form = submission.path_params["form"]
        calls = usage.read_calls(submission.unpack(), submission.content_type, submission.headers)
        events = usage.build_request_events(calls, form, submission.headers)
        answer = self._measure(
            lambda: accept_built(self._appender, self._home, submission.token, submission.organization, events)
        )
        return _render_answer(answer, is_single=calls.is_single)

    def _accept_traces(self, submission: Submission) -> Response:
        encoding = traces.find_encoding(submission.content_type)
        spans = traces.read_spans(encoding, submission.unpack())
        calls = select_calls(spans, self._charged_parents, submission.organization)
        events = traces.build_request_events(calls, submission.headers)
        answer = self._measure(
            lambda: accept_built(self._appender, self._home, submission.token, submission.organization, events)
        )
        self._charged_parents.add(submission.organization, calls)
        return traces.render_answer(encoding, answer)

    def _append_asks(self, submission: Submission) -> admissions.Pending:
        asks = admissions.read_asks(submission.unpack(), submission.content_type)
        return self._append(submission.token, submission.organization, asks)

    def _prepare_ask(self, submission: Submission) -> Prepared:
        asks = admissions.read_asks(submission.packed, submission.content_type)
        return self._prepare_single_ask(submission.token, submission.organization, asks)

    def _prepare_single_ask(self, token: Token, organization: str, asks: admissions.Asks) -> Prepared:
        """Answer an ask from a lease where that can be, or prepare its event. A rejected one is appended at once."""
        start_s = time.perf_counter()
        judged = self._try_leases(organization, asks)
        (attempt,), (result,) = judged
        if isinstance(result, Admitted | Conflict) or isinstance(attempt.outcome, Rejection):
            pending = self._append_judged(token, organization, asks, *judged)
            return Prepared(None, lambda _: pending)
        (ask,) = asks.items
        logged_ask = admissions.LoggedAsk(organization, token.id, result)

        def conclude(position: Position | None) -> admissions.Pending:
            assert position is not None
            self._counts.count_events(1, 0, time.perf_counter() - start_s)
            results = [describe_position(position)]
            return admissions.Pending([admissions.read_id(ask)], results, {position: logged_ask}, asks.is_single)

        return Prepared(make_draft(organization, token.id, attempt.outcome.line), conclude)

    def _append(self, token: Token, organization: str, asks: admissions.Asks) -> admissions.Pending:
        """Answer asks from leases where that can be, and append the others."""
        return self._append_judged(token, organization, asks, *self._try_leases(organization, asks))

    def _try_leases(self, organization: str, asks: admissions.Asks) -> tuple[list[Attempt], list[Any]]:
        """Accept or reject asks, and answer from leases those that can be; the others' results are their fields."""
        events = admissions.build_request_events(asks, datetime.now(UTC))
        attempts = list(try_built(self._home, organization, events, REQUEST_KINDS))
        return attempts, [self._try_lease(organization, attempt) for attempt in attempts]

    def _append_judged(
        self, token: Token, organization: str, asks: admissions.Asks, attempts: Sequence[Attempt], results: list[Any]
    ) -> admissions.Pending:
        """Append the asks that no lease answered, and those that were rejected."""
        numbers = [number for number, result in enumerate(results) if not isinstance(result, Admitted | Conflict)]
        asks_by_position = dict[Position, admissions.LoggedAsk]()
        if numbers:
            answer = self._measure(
                lambda: append_attempts(
                    self._appender, self._home, token.id, organization, [attempts[number] for number in numbers],
                    REQUEST_KINDS,
                )
            )  # fmt: skip
            for number, result in zip(numbers, answer.results, strict=True):
                if "offset" in result:
                    asks_by_position[Position(**result)] = admissions.LoggedAsk(organization, token.id, results[number])
                results[number] = result
        ids = [admissions.read_id(ask) for ask in asks.items]
        return admissions.Pending(ids, results, asks_by_position, asks.is_single)

    def _try_lease(self, organization: str, attempt: Attempt) -> Admitted | Conflict | dict[str, Any]:
        """Answer an ask from a lease, or return its fields as they stand on the log."""
        if isinstance(attempt.outcome, Rejection):
            return {}
        event = decode(attempt.outcome.line)
        ask: dict[str, Any] = event["data"]
        digest = hashlib.blake2b(encode(ask), digest_size=16).digest()
        result = self._leases.holdings.admit(organization, event["id"], ask, digest, read_clock_s())
        return ask if result is None else result

    def _append_release(self, token: Token, organization: str, admission: str) -> Position:
        return self._append_request(token, organization, admissions.build_release(admission, datetime.now(UTC)))

    def _append_lease(self, submission: Submission) -> tuple[str, Position]:
        event = leases.build_ask(submission.unpack(), datetime.now(UTC))
        return event["id"], self._append_request(submission.token, submission.organization, event)

    def _append_return(self, submission: Submission) -> tuple[str, Position]:
        event = leases.build_return(submission.path_params["lease"], submission.unpack(), datetime.now(UTC))
        return event["id"], self._append_request(submission.token, submission.organization, event)

    def _append_request(self, token: Token, organization: str, event: dict[str, Any]) -> Position:
        """Append one request. Problem where it is rejected."""
        (result,) = self._measure(lambda: self._append_requests(token.id, organization, [event])).results
        if "reason" in result:
            rejection = admissions.describe_rejection(result)
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, rejection["detail"], field=rejection["field"],
                reason=rejection["reason"],
            )  # fmt: skip
        return Position(**result)

    def _append_leases(self, organization: str, principal: str, events: list[dict[str, Any]]) -> list[Position]:
        """Append requests for leases that this process holds, in the name of a token that asked."""
        results = self._append_requests(principal, organization, events).results
        return [Position(**result) for result in results if "offset" in result]

    def _append_requests(self, principal: str, organization: str, events: Iterable[dict[str, Any]]) -> Answer:
        attempts = try_built(self._home, organization, events, REQUEST_KINDS)
        return append_attempts(self._appender, self._home, principal, organization, attempts, REQUEST_KINDS)

    def _measure(self, work: Callable[[], Answer]) -> Answer:
        """Accept events, and count them and the time that they took."""
        start_s = time.perf_counter()
        answer = work()
        self._counts.count_events(len(answer.results) - answer.refused, answer.refused, time.perf_counter() - start_s)
        return answer

    async def _receive_body(self, request: Request, token: Token, received: bytearray) -> None:
        """Receive the body into ``received`` within the bounds of a body, of its token and of all tokens."""
        if int(request.headers.get("content-length") or 0) > body.MAX_BODY_BYTES:
            raise body.size_problem()
        start_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(start_s + _body_timeout_s(0)) as deadline:
                async for chunk in request.stream():
                    if len(received) + len(chunk) > body.MAX_BODY_BYTES:
                        raise body.size_problem()
                    if shortage := self._room.take(token.id, len(chunk)):
                        raise _busy_problem(shortage)
                    received += chunk
                    deadline.reschedule(start_s + _body_timeout_s(len(received)))
        except TimeoutError:
            detail = (
                f"the body did not arrive in time: it may take {BODY_TIMEOUT_S} s, or {BODY_GRACE_S} s where less than "
                f"{MIN_BODY_BYTES_PER_S:,} bytes a second arrive: send less at once"
            )
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, detail) from None
        except ClientDisconnect:
            raise Problem(HTTPStatus.BAD_REQUEST, "the request body was incomplete: send it again") from None

    async def _get_outcomes(self, request: Request) -> Response:
        token, organization = self._authorize(request, ("read",))
        partition, offset = request.path_params["partition"], request.path_params["offset"]
        query = functools.partial(self._query_log, lambda log: read_outcomes(log, organization, partition, offset))
        return JSONResponse(await self._run_in_thread(token, query))

    async def _get_decisions(self, request: Request) -> Response:
        token, organization = self._authorize(request, ("read",))
        subscription = stream.read_subscription(request, organization)
        return await stream.open_stream(self.feed, subscription, lambda: self._access.is_valid(token))

    async def _get_token(self, request: Request) -> Response:
        token = self._access.authenticate(request)
        return JSONResponse({"id": token.id, "organizations": token.organizations, "roles": token.roles})

    async def _get_openapi(self, request: Request) -> Response:
        return Response(_encode_description(), media_type="application/json")

    async def _get_health(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _get_readiness(self, request: Request) -> Response:
        """Answer 200 once the log answers."""
        try:
            with anyio.fail_after(READY_TIMEOUT_S):
                query = functools.partial(self._query_log, lambda log: log.end(EVENTS, 0))
                await anyio.to_thread.run_sync(query, abandon_on_cancel=True)
        except TimeoutError:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, f"the log has not answered for {READY_TIMEOUT_S} s", RETRY_DELAY_S
            ) from None
        return PlainTextResponse("ready\n")

    def _query_log(self, query: Callable[[Log], T]) -> T:
        with self._reader_lock:
            return query(self._reader)

    async def _get_metrics(self, request: Request) -> Response:
        return Response(generate_latest(self._counts.registry), media_type=CONTENT_TYPE_LATEST)


def _render_plainly(request: Request, problem: Problem) -> Response:
    return render_problem(problem)


def _render_answer(answer: Answer, *, is_single: bool) -> Response:
    """Render the result of each event; the rejection of a single one is a problem."""
    if is_single and answer.refused:
        (result,) = answer.results
        detail = ": ".join(filter(None, (result["field"], result["reason"])))
        return render_problem(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, **result))
    return Response(encode(answer.as_json()), media_type="application/json")


@functools.cache
def _encode_description() -> bytes:
    """Return the API's OpenAPI description; making it takes long."""
    return encode(describe_api())


def _body_timeout_s(received: int) -> float:
    return compute_timeout_s(received, grace_s=BODY_GRACE_S, min_bytes_per_s=MIN_BODY_BYTES_PER_S, max_s=BODY_TIMEOUT_S)


def _busy_problem(shortage: Shortage) -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"server busy: {shortage.value}. Repeat the request after Retry-After",
        RETRY_DELAY_S,
    )


def _log_problem(error: Exception) -> Problem:
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"the log cannot append now: {error}", RETRY_DELAY_S)


async def _respond_unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    request_line = (
        f"{request.method[:20]} {request.url.path[:100]!a}"  # a path is a stranger's text: escaped, and short
    )
    summary = "No such path" if error.status_code == HTTPStatus.NOT_FOUND else "No such method of this path"
    response = render_problem(
        Problem(HTTPStatus(error.status_code), f"{summary}: {request_line}. /openapi.json lists paths and methods")
    )
    response.headers.update(error.headers or {})  # which methods there are
    return response
