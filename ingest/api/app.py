"""The HTTP API: who may do what, and what each request is answered."""

import asyncio
import functools
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import TypeVar

import anyio
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ingest.api import body, connections, metrics
from ingest.api.accept_events import enter, kinds
from ingest.api.group_commit import Appender
from ingest.api.openapi import document
from ingest.api.outcomes import became
from ingest.api.problem import Problem, answer
from ingest.api.room import Lack, Room, allowed_s
from ingest.intake.intake import encode
from ingest.intake.limits import MAX_LINE
from ledger.errors import TallyError
from ledger.home.tokens import Role, Token, Tokens
from ledger.log import Log
from ledger.log.topics import EVENTS
from ledger.settings import Settings

THREADS, MAX_TOKEN_THREADS = 16, 4
"""How many requests are worked on at once, and how many of one token; most of them wait for the log."""
MAX_HELD, MAX_TOKEN_HELD, MIN_TOKEN_HELD = 32 << 20, 16 << 20, MAX_LINE
"""Bytes of bodies that are being received or wait to be worked on, of all tokens and of one: beyond it, senders are
asked to come again. The least is kept for each token: its single event finds room whatever others do."""
BODY_S = 30
"""How long a body may take to arrive."""
BODY_GRACE_S, MIN_BODY_BYTES_PER_S = 10, 8 << 10
"""A body may take the first, and more only as long as its bytes come at this rate."""
READY_S = 3
RETRY_S = 1
TOKENS_RETRY_S = 10
"""When somebody may come again whose token cannot be looked up, as a person must mend that."""

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


class Api:
    """The application over one log and the tokens of one home. ``asked`` is the same log, opened once more: who reads
    beside an append would see what is not durable yet."""

    def __init__(self, settings: Settings, log: Log, asked: Log) -> None:
        self._home = settings.home
        self._appender = Appender(log)
        self._asked = asked
        self._asking = threading.Lock()
        self._tokens = Tokens(settings.home)
        self._tokens_problem: str | None = None
        self._threads = anyio.CapacityLimiter(THREADS)
        self._token_threads: dict[str, anyio.CapacityLimiter] = {}
        self._room = Room(MAX_HELD, MAX_TOKEN_HELD, MIN_TOKEN_HELD)
        self._counts = metrics.Counts(lambda: self._room.held)

    def app(self, lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None) -> Starlette:
        def route(path: str, handler: Handler, method: str = "GET") -> Route:
            return Route(path, self._answering(path, handler), methods=[method])

        app = Starlette(
            routes=[
                route("/v1/events", self._events, "POST"),
                route("/v1/events/{partition:int}/{offset:int}", self._became),
                route("/v1/token", self._who),
                route("/openapi.json", self._openapi),
                route("/healthz", self._healthy),
                route("/readyz", self._ready),
                route("/metrics", self._metrics),
            ],
            exception_handlers={404: _not_found, 405: _not_found},
            lifespan=lifespan,
        )
        app.router.redirect_slashes = False  # a redirect would name the host that the request names
        return app

    def _answering(self, path: str, handler: Handler) -> Handler:
        """With every problem told as one, and every request counted."""

        @functools.wraps(handler)
        async def answered(request: Request) -> Response:
            try:
                response = await handler(request)
            except Problem as problem:
                response = answer(problem)
            except (TallyError, sqlite3.Error, OSError) as error:
                response = answer(_away(error))
            self._counts.request(path, response.status_code)
            return response

        return answered

    async def _events(self, request: Request) -> Response:
        token = self._token(request)
        if not kinds(token):
            raise _forbidden(token, "write")
        organization = _organization(request, token)
        content_type = _header(request, "content-type") or ""
        coding = _header(request, "content-encoding", several=", ")
        coding = body.checked(content_type, "identity" if coding is None else coding)
        held = bytearray()
        try:
            await self._receive(request, token, held)
            packed = bytes(held)
            return await self._work(
                token, functools.partial(self._enter, token, organization, packed, content_type, coding)
            )
        finally:
            self._room.give_back(token.id, len(held))

    async def _work(self, token: Token, work: Callable[[], T]) -> T:
        """Call in a thread. Requests of one token wait for each other, before they wait for those of others."""
        own = self._token_threads.setdefault(token.id, anyio.CapacityLimiter(MAX_TOKEN_THREADS))
        async with own:
            return await anyio.to_thread.run_sync(work, limiter=self._threads)

    def _enter(self, token: Token, organization: str, packed: bytes, content_type: str, coding: str) -> Response:
        found = body.events(body.unpacked(packed, coding), content_type)
        begun = time.perf_counter()
        entered = enter(self._appender, self._home, token, organization, found.raw)
        self._counts.entered(len(found.raw) - entered.refused, entered.refused, time.perf_counter() - begun)
        if found.single and entered.refused:
            (result,) = entered.results
            detail = ": ".join(filter(None, (result["field"], result["reason"])))
            return answer(Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail, **result))
        return Response(encode(entered.as_json()), media_type="application/json")

    async def _receive(self, request: Request, token: Token, held: bytearray) -> None:
        """Receive the body into ``held``, as far as it, its token's and all others are within bounds."""
        if int(request.headers.get("content-length") or 0) > body.MAX_BODY:
            raise body.too_large()
        begun = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(begun + _body_timeout_s(0)) as deadline:
                async for chunk in request.stream():
                    if len(held) + len(chunk) > body.MAX_BODY:
                        raise body.too_large()
                    if lack := self._room.take(token.id, len(chunk)):
                        raise _busy(lack)
                    held += chunk
                    deadline.reschedule(begun + _body_timeout_s(len(held)))
        except TimeoutError:
            detail = (
                f"the body did not arrive in time: it has {BODY_S} s, and {BODY_GRACE_S} s where less than "
                f"{MIN_BODY_BYTES_PER_S:,} bytes a second come: send less at once"
            )
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, detail) from None
        except ClientDisconnect:
            raise Problem(HTTPStatus.BAD_REQUEST, "the body was cut") from None

    async def _became(self, request: Request) -> Response:
        token = self._token(request)
        if "read" not in token.roles:
            raise _forbidden(token, "read")
        organization = _organization(request, token)
        partition, offset = request.path_params["partition"], request.path_params["offset"]
        ask = functools.partial(self._ask, lambda log: became(log, organization, partition, offset))
        return JSONResponse(await self._work(token, ask))

    async def _who(self, request: Request) -> Response:
        token = self._token(request)
        return JSONResponse({"id": token.id, "organizations": token.organizations, "roles": token.roles})

    def _token(self, request: Request) -> Token:
        scheme, _, bearer = (_header(request, "authorization") or "").partition(" ")
        token = self._find_token(bearer.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            self._counts.stranger()
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "the request shows no token that is valid here: send `Authorization: Bearer TOKEN`, "
                "and make one with `tally token create`",
            )
        connection = request.scope.get("state", {}).get(connections.STATE)
        if connection is not None and not connection.belongs_to(token.id):
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"the token {token.id} has {connections.MAX_TOKEN_CONNECTIONS} connections under way: "
                "let them end, and use them again",
                RETRY_S,
            )
        return token

    def _find_token(self, bearer: str) -> Token | None:
        """The token of this text. Problem 503 where the home's tokens cannot be read: who asks is nobody yet, so the
        reason and its place are told in the log of the door and by `tally status`, and not to them."""
        try:
            token = self._tokens.find(bearer)
            self._tokens_problem = None
            return token
        except TallyError as error:
            if str(error) != self._tokens_problem:  # once, not with every request
                print(f"nobody is let in: {error}", flush=True)
            self._tokens_problem = str(error)
            detail = "the tokens of this home cannot be read now: `tally status` of its operator says why"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, TOKENS_RETRY_S) from None

    async def _openapi(self, request: Request) -> Response:
        return Response(_description(), media_type="application/json")

    async def _healthy(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _ready(self, request: Request) -> Response:
        """Whether the log answers."""
        try:
            with anyio.fail_after(READY_S):
                ask = functools.partial(self._ask, lambda log: log.end(EVENTS, 0))
                await anyio.to_thread.run_sync(ask, abandon_on_cancel=True)
        except TimeoutError:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE, f"the log has not answered for {READY_S} s", RETRY_S
            ) from None
        return PlainTextResponse("ready\n")

    def _ask(self, question: Callable[[Log], T]) -> T:
        with self._asking:
            return question(self._asked)

    async def _metrics(self, request: Request) -> Response:
        return Response(generate_latest(self._counts.registry), media_type=CONTENT_TYPE_LATEST)


def _organization(request: Request, token: Token) -> str:
    """Whose events the request brings or asks for."""
    named = _header(request, "tally-organization")
    if named is None and len(token.organizations) == 1:
        return token.organizations[0]
    if named is None:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"the token is for {len(token.organizations)} organizations: name one in the header Tally-Organization",
        )
    if named not in token.organizations:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"the token {token.id} is not for the organization {named[:100]!r}: `tally token create --organization` "
            "makes one that is",
        )
    return named


def _header(request: Request, name: str, several: str | None = None) -> str | None:
    """Return what a header says. Problem where it stands twice, and ``several`` joins no lists of it: a proxy before us
    may have judged by the other."""
    values = request.headers.getlist(name)
    if len(values) > 1 and several is None:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the header {name} stands {len(values)} times: send it once")
    return (several or "").join(values) if values else None


@functools.cache
def _description() -> bytes:
    """Return the API's description, which takes long to make."""
    return encode(document())


def _body_timeout_s(received: int) -> float:
    return allowed_s(received, grace_s=BODY_GRACE_S, min_bytes_per_s=MIN_BODY_BYTES_PER_S, max_s=BODY_S)


def _busy(lack: Lack) -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, f"too much is under way: {lack.value}. Repeat it after Retry-After", RETRY_S
    )


def _forbidden(token: Token, role: Role) -> Problem:
    return Problem(
        HTTPStatus.FORBIDDEN,
        f"the token {token.id} has the roles {', '.join(token.roles)}, and this takes {role}: "
        f"`tally token create --role {role}` makes one that has it",
    )


def _away(error: Exception) -> Problem:
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"the log takes nothing now: {error}", RETRY_S)


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    request_line = (
        f"{request.method[:20]} {request.url.path[:100]!a}"  # a path is a stranger's text: escaped, and short
    )
    what = "No such path" if error.status_code == HTTPStatus.NOT_FOUND else "No such method of this path"
    response = answer(
        Problem(HTTPStatus(error.status_code), f"{what}: {request_line}. /openapi.json lists paths and methods")
    )
    response.headers.update(error.headers or {})  # which methods there are
    return response
