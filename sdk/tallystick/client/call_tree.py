"""The call tree: sessions and calls, and what lies within what. It follows threads' and tasks' own context."""

import asyncio
import functools
import inspect
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

from tallystick.usage import reader as usages

if TYPE_CHECKING:
    from tallystick.client.client import Client

P = ParamSpec("P")
R = TypeVar("R")


class Around(NamedTuple):
    """What holds inside of a session or a call."""

    fields: dict[str, Any]
    root: str | None = None
    parent: str | None = None


NOTHING = Around({})
_around: ContextVar[Around] = ContextVar("tallystick", default=NOTHING)


def fields_around(fields: dict[str, Any], around: Around | None = None) -> dict[str, Any]:
    """The fields of a call with those of what it lies in."""
    within = around or _around.get()
    place = {"root_call": within.root, "parent_call": within.parent} if within.root else {}
    return within.fields | place | fields


class _Within:
    """A context manager, and a decorator of functions and coroutines."""

    _token: Token[Around]

    def _enter(self, around: Around) -> None:
        self._token = _around.set(around)

    def _leave(self) -> None:
        with suppress(ValueError):  # it ends in another context than it began in, whose own is as it was
            _around.reset(self._token)

    def _again(self) -> "_Within":
        """A fresh one, for each call of what it decorates."""
        raise NotImplementedError

    def _returned(self, value: object) -> None:
        """What the decorated function returned."""

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        raise NotImplementedError

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function.__qualname__} is a generator, whose end nobody may see: "
                "use `with client.call(...) as call:` inside of it, and call.usage(...) with its last chunk"
            )
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                with self._again() as within:
                    value = await function(*args, **kwargs)
                    within._returned(value)
                    return value

            return awaited  # type: ignore[return-value]

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._again() as within:
                value = function(*args, **kwargs)
                within._returned(value)
                return value

        return called


class Session(_Within):
    """Calls that belong together, of an agent or a conversation; made by ``Client.session``."""

    def __init__(self, client: "Client", id: str | None, fields: dict[str, Any]) -> None:
        self._client, self._given, self._fields = client, id, fields
        self.id = uuid.uuid4().hex if id is None or (isinstance(id, str) and not id) else id

    @property
    def _inside(self) -> Around:
        return Around(_around.get().fields | self._fields | {"session": self.id})

    def call(self, **fields: Any) -> "Call":
        """A call of this session, also from another thread."""
        return Call(self._client, fields, self._inside)

    def __enter__(self) -> "Session":
        self._enter(self._inside)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._leave()

    def _again(self) -> "Session":
        return Session(self._client, self._given, self._fields)


class Call(_Within):
    """One call to a model while it lasts; made by ``Client.call`` and ``Session.call``."""

    def __init__(self, client: "Client", fields: dict[str, Any], session: Around | None = None) -> None:
        self._client, self._fields, self._session = client, fields, session
        self._said: dict[str, Any] = {}
        self.id = client._new_id()

    def usage(self, response: object) -> None:
        """Take tokens, model and service tier from a provider's response, or its usage block, as it came."""
        self._said |= used(response)

    def say(self, **fields: Any) -> None:
        """More of the call, known by now: ``call.say(finish_reason="stop")``."""
        self._said |= fields

    def __enter__(self) -> "Call":
        within = self._within()
        self._place = fields_around(self._fields, within)
        self._place.setdefault("root_call", self.id)
        self._enter(Around(within.fields, self._place["root_call"], self.id))
        self._began = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._leave()
        ended: dict[str, Any] = {"status": "ok", "usage_source": "missing"}  # which gives way to any usage
        if kind is not None:
            aborted = issubclass(kind, (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt))
            ended |= {"status": "aborted" if aborted else "error", "error_code": kind.__name__[:256]}
        ended["latency_ms"] = round((time.monotonic() - self._began) * 1000)
        self._client._record(self.id, ended | self._place | self._said)

    def _within(self) -> Around:
        """The session that it was made by, unless it lies in a call of that session."""
        around = _around.get()
        try:
            lies_within = self._session is None or around.fields.get("session") == self._session.fields["session"]
        except Exception:  # noqa: BLE001  (a session's id that is no text, of which nothing is known)
            lies_within = False
        return around if lies_within or self._session is None else self._session

    def _again(self) -> "Call":
        return Call(self._client, self._fields, self._session)

    def _returned(self, value: object) -> None:
        if (found := used(value))["usage_source"] == "reported":
            self._said = found | self._said


def used(response: object) -> dict[str, Any]:
    """The fields that a response fills; where it says nothing of usage, that."""
    try:
        found = usages.fields(response)
    except Exception:  # noqa: BLE001  (an object of somebody else's, of which nothing is known)
        found = None
    return found or {"usage_source": "missing"}
