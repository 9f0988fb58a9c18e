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

from ingest.api import body, counting
from ingest.api.appending import Appender
from ingest.api.asking import became
from ingest.api.entering import enter, kinds
from ingest.api.openapi import document
from ingest.api.problem import Problem, answer
from ingest.door import encode
from ledger.errors import TallyError
from ledger.log import Log
from ledger.settings import Settings
from ledger.tokens import Role, Token, Tokens
from ledger.topics import EVENTS

THREADS = 16
"""How many requests are worked on at once; most of them wait for the log."""
MAX_HELD = 32 << 20
"""Bytes of bodies that are being received or wait to be worked on: beyond it, senders are asked to come again."""
BODY_S = 30
"""How long a body may take to arrive."""
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
        self._held = 0
        self._counts = counting.Counts(lambda: self._held)

    def app(self, lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None) -> Starlette:
        def route(path: str, handler: Handler, method: str = "GET") -> Route:
            return Route(path, self._answering(path, handler), methods=[method])

        return Starlette(
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
        content_type = request.headers.get("content-type", "")
        coding = request.headers.get("content-encoding", "identity").strip().lower()
        body.checked(content_type, coding)
        held = bytearray()
        try:
            await self._receive(request, held)
            packed = bytes(held)
            return await anyio.to_thread.run_sync(
                self._enter, token, organization, packed, content_type, coding, limiter=self._threads
            )
        finally:
            self._held -= len(held)

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

    async def _receive(self, request: Request, held: bytearray) -> None:
        """The body, as far as it and all others together are within bounds."""
        if int(request.headers.get("content-length") or 0) > body.MAX_BODY:
            raise body.too_large()
        try:
            async with asyncio.timeout(BODY_S):
                async for chunk in request.stream():
                    if len(held) + len(chunk) > body.MAX_BODY:
                        raise body.too_large()
                    if self._held + len(chunk) > MAX_HELD:
                        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too much is under way: come again", RETRY_S)
                    held += chunk
                    self._held += len(chunk)
        except TimeoutError:
            detail = f"the body did not arrive within {BODY_S} s: send less at once"
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
        return JSONResponse(await anyio.to_thread.run_sync(ask, limiter=self._threads))

    async def _who(self, request: Request) -> Response:
        token = self._token(request)
        return JSONResponse({"id": token.id, "organizations": token.organizations, "roles": token.roles})

    def _token(self, request: Request) -> Token:
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        token = self._find_token(bearer.strip()) if scheme.lower() == "bearer" else None
        if token is None:
            self._counts.stranger()
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "the request shows no token that is valid here: send `Authorization: Bearer TOKEN`, "
                "and make one with `tally token create`",
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
        return JSONResponse(document(str(request.base_url).rstrip("/")))

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
    named = request.headers.get("tally-organization")
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
    where = f"{request.method[:20]} {request.url.path[:200]}"
    response = answer(Problem(HTTPStatus(error.status_code), f"{where} is nothing here: /openapi.json tells what is"))
    response.headers.update(error.headers or {})  # which methods there are
    return response
