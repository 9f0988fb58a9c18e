"""The call tree: sessions, calls, and their nesting. It follows the context of threads and tasks."""

import asyncio
import functools
import inspect
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from contextvars import ContextVar, Token
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

from tallystick.usage import reader as usages
from tallystick.usage.chunks import NO_CHUNKS, WORD_NAMES, MergedChunks, merge_chunks, read_chunk

P = ParamSpec("P")
R = TypeVar("R")


class Recorder(Protocol):
    """The part of a client that sessions and calls need."""

    def _new_id(self) -> str:
        """Return the id of the next event."""

    def _record(self, id: str, fields: dict[str, Any]) -> str | None:
        """Record a call with these fields, and return its id; None where it is not kept."""


class CallContext(NamedTuple):
    """The fields and ids that calls inside of a session or call take over."""

    fields: dict[str, Any]
    root: str | None = None
    parent: str | None = None


EMPTY_CONTEXT = CallContext({})
_current_context: ContextVar[CallContext] = ContextVar("tallystick", default=EMPTY_CONTEXT)


def merge_context_fields(fields: dict[str, Any], context: CallContext | None = None) -> dict[str, Any]:
    """Return the fields of a call with those of its context."""
    current = context or _current_context.get()
    place = {"root_call": current.root, "parent_call": current.parent} if current.root else {}
    return current.fields | place | fields


class _TreeNode:
    """A context manager, and a decorator of functions and coroutines."""

    _token: Token[CallContext]

    def _enter(self, context: CallContext) -> None:
        self._token = _current_context.set(context)

    def _leave(self) -> None:
        with suppress(ValueError):  # it ends in another context than it began in; that one is unchanged
            _current_context.reset(self._token)

    def _copy(self) -> "_TreeNode":
        """Return a fresh node, for each call of the decorated function."""
        raise NotImplementedError

    def _take_result(self, value: object) -> None:
        """Take the result of the decorated function."""

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        raise NotImplementedError

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function.__qualname__} is a generator, which its reader may leave before its end: "
                "use `with client.call(...) as call:` inside of it, and iterate over call.watch(stream)"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                with self._copy() as copy:
                    value = await function(*args, **kwargs)
                    copy._take_result(value)
                    return value

            return run_async  # type: ignore[return-value]

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._copy() as copy:
                value = function(*args, **kwargs)
                copy._take_result(value)
                return value

        return run


class Session(_TreeNode):
    """Calls of one agent or conversation; made by ``Client.session``."""

    def __init__(self, client: Recorder, id: str | None, fields: dict[str, Any]) -> None:
        self._client, self._given_id, self._fields = client, id, fields
        self.id = uuid.uuid4().hex if id is None or (isinstance(id, str) and not id) else id

    @property
    def _own_context(self) -> CallContext:
        return CallContext(_current_context.get().fields | self._fields | {"session": self.id})

    def call(self, **fields: Any) -> "Call":
        """Return a call of this session, also from another thread."""
        return Call(self._client, fields, self._own_context)

    def __enter__(self) -> "Session":
        self._enter(self._own_context)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._leave()

    def _copy(self) -> "Session":
        return Session(self._client, self._given_id, self._fields)


class Call(_TreeNode):
    """One call to a model while it lasts; made by ``Client.call`` and ``Session.call``."""

    def __init__(self, client: Recorder, fields: dict[str, Any], session: CallContext | None = None) -> None:
        self._client, self._fields, self._session = client, fields, session
        self._late_fields: dict[str, Any] = {}
        self._chunks, self._open_streams = NO_CHUNKS, 0
        self._single_response: object = None
        self._is_entered = False
        self.id = client._new_id()

    def usage(self, response: object) -> None:
        """Take tokens, model and service tier from a provider's response, its usage block, a chunk of a stream, or a
        list of chunks, as they came. A chunk without usage takes nothing away."""
        with suppress(Exception):  # a response may be any object
            self._take_chunk(response, read_chunk(response))

    def _take_chunk(self, response: object, chunk: MergedChunks) -> None:
        if chunk.shares:
            self._single_response = None if self._chunks.shares else response
        self._chunks = merge_chunks([self._chunks, chunk])

    def watch(self, stream: Any) -> Any:
        """Return the chunks of a stream as they come, and take their usage on the way, of an iterable or an
        asynchronous one. A stream that is left before its end is recorded as aborted. A call that no ``with`` has
        entered is recorded with the end of its stream."""
        if isinstance(stream, AsyncIterable):
            return self._watch_async(stream)
        return self._watch(stream)

    def _watch(self, stream: Iterable[Any]) -> Iterator[Any]:
        with nullcontext() if self._is_entered else _Watched(self):
            self._open_streams += 1
            for chunk in stream:
                self.usage(chunk)
                yield chunk
            self._open_streams -= 1

    async def _watch_async(self, stream: AsyncIterable[Any]) -> AsyncIterator[Any]:
        with nullcontext() if self._is_entered else _Watched(self):
            self._open_streams += 1
            async for chunk in stream:
                self.usage(chunk)
                yield chunk
            self._open_streams -= 1

    def say(self, **fields: Any) -> None:
        """Add fields of the call: ``call.say(finish_reason="stop")``."""
        self._late_fields |= fields

    def __enter__(self) -> "Call":
        context = self._begin()
        self._enter(CallContext(context.fields, self._entry_fields["root_call"], self.id))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._leave()
        self._end(kind)

    def _begin(self) -> CallContext:
        context = self._find_context()
        self._entry_fields = merge_context_fields(self._fields, context)
        self._entry_fields.setdefault("root_call", self.id)
        self._start_s = time.monotonic()
        self._is_entered = True
        return context

    def _end(self, kind: type[BaseException] | None) -> None:
        result: dict[str, Any] = {"status": "ok", "usage_source": "missing"}  # any usage replaces it
        if kind is not None:
            aborted = issubclass(kind, (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt))
            result |= {"status": "aborted" if aborted else "error", "error_code": kind.__name__[:256]}
        elif self._open_streams:  # somebody left the loop over `watch`
            result["status"] = "aborted"
        result["latency_ms"] = round((time.monotonic() - self._start_s) * 1000)
        self._client._record(self.id, result | self._entry_fields | self._read_usage() | self._late_fields)

    def _read_usage(self) -> dict[str, Any]:
        """Read the usage of all that ``usage`` was given; a single response as it came."""
        words = {name: self._chunks.words[key] for name, key in WORD_NAMES.items() if key in self._chunks.words}
        if not self._chunks.shares:
            return words
        source = self._chunks if self._single_response is None else self._single_response
        model = self._entry_fields.get("model")
        return usages.leave_out_vague_model(
            words | read_usage(source, model), model if isinstance(model, str) else None
        )

    def _find_context(self) -> CallContext:
        """Return the context of the session that made the call, unless the call lies in another call of that
        session."""
        current = _current_context.get()
        try:
            is_inside = self._session is None or current.fields.get("session") == self._session.fields["session"]
        except Exception:  # noqa: BLE001  (a session's id may be any object of the application)
            is_inside = False
        return current if is_inside or self._session is None else self._session

    def _copy(self) -> "Call":
        return Call(self._client, self._fields, self._session)

    def _take_result(self, value: object) -> None:
        with suppress(Exception):  # a function may return any object
            if not self._chunks.shares and (chunk := read_chunk(value)).shares:
                self._take_chunk(value, chunk)


class _Watched:
    """A call that lasts as long as its stream, and of which the reader's own calls are no part."""

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        self._call._begin()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._call._end(kind)


def read_usage(response: object, model: object = None) -> dict[str, Any]:
    """Return the fields that a response fills; ``usage_source: missing`` where it holds no usage. ``model`` is the one
    that was asked for."""
    try:
        fields = usages.read_fields(response, model=model if isinstance(model, str) else None)
    except Exception:  # noqa: BLE001  (a response may be any object)
        fields = None
    return fields or {"usage_source": "missing"}
