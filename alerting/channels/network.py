"""Connections to receivers that nobody vouches for: looked up, opened and read within bounds.

The deadline of a delivery cancels whatever is awaited here, so no call has a timeout of its own.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import anyio
import httpcore
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream

MAX_RECEIVED_BYTES = 64 << 10
"""All that is read of a receiver for one delivery: its part of the TLS handshake, and all up to the end of headers."""

MAX_ADDRESSES = 3
"""Addresses of a host that are tried, each with its share of the deadline."""


class ResponseTooLarge(httpcore.NetworkError):
    """The receiver sent more than ``MAX_RECEIVED_BYTES`` before its headers ended."""


class Network(httpcore.AsyncNetworkBackend):
    """Connects for one line of deliveries. ``connect_s`` is shared by the addresses of a host."""

    def __init__(self, connect_s: float) -> None:
        self._connect_s = connect_s
        self._lookups: list[Future[list[str]]] = []
        self._streams: list[ByteStream] = []

    async def close(self) -> None:
        """Close every connection, without waiting for a receiver."""
        while self._streams:
            await anyio.aclose_forcefully(self._streams.pop())

    def is_looking_up(self) -> bool:
        """Tell whether a lookup of a name still holds its thread: nothing can cancel it, the resolver ends it."""
        self._lookups = [lookup for lookup in self._lookups if not lookup.done()]
        return bool(self._lookups)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of the host that answers. ConnectError where none does."""
        addresses = (await self._resolve(host, port))[:MAX_ADDRESSES]
        failure: OSError = OSError(f"{host} has no address")
        for address in addresses:
            try:
                async with asyncio.timeout(self._connect_s / len(addresses)):
                    stream = _CountedStream(await anyio.connect_tcp(address, port))
            except OSError as error:  # TimeoutError is one
                failure = error
            else:
                self._streams.append(stream)
                return _Stream(stream)
        raise httpcore.ConnectError(type(failure).__name__) from failure

    async def _resolve(self, host: str, port: int) -> list[str]:
        """Resolve a host in a thread of its own: one that hangs holds up no other, nor the end of the process."""
        answer: Future[list[str]] = Future()
        answer.set_running_or_notify_cancel()  # from here on nobody can cancel it but by not waiting
        self._lookups.append(answer)
        threading.Thread(target=_resolve_host, args=(answer, host, port), name="lookup", daemon=True).start()
        return await asyncio.wrap_future(answer)


def _resolve_host(answer: "Future[list[str]]", host: str, port: int) -> None:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        answer.set_result(list(dict.fromkeys(str(entry[4][0]) for entry in entries)))
    except OSError as error:
        answer.set_exception(httpcore.ConnectError(type(error).__name__))
    except UnicodeError:  # a label that no name can have
        answer.set_exception(httpcore.ConnectError("no name of a host"))


class _CountedStream(ByteStream):
    """A stream under TLS: counted here, so that a handshake and what carries no data are bounded too."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._received_bytes = 0

    async def receive(self, max_bytes: int = MAX_RECEIVED_BYTES) -> bytes:
        chunk = await self._stream.receive(max_bytes)
        self._received_bytes += len(chunk)
        if self._received_bytes > MAX_RECEIVED_BYTES:
            raise ResponseTooLarge(f"more than {MAX_RECEIVED_BYTES:,} bytes")
        return chunk

    async def send(self, item: bytes) -> None:
        await self._stream.send(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._stream.extra_attributes


class _Stream(httpcore.AsyncNetworkStream):
    """The stream that the HTTP client reads and writes."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError) as error:
            raise httpcore.ReadError(type(error).__name__) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            await self._stream.send(buffer)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError) as error:
            raise httpcore.WriteError(type(error).__name__) from error

    async def aclose(self) -> None:
        with suppress(anyio.BrokenResourceError):
            await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            encrypted = await TLSStream.wrap(
                self._stream, ssl_context=ssl_context, hostname=server_hostname, standard_compatible=False,
                server_side=False,
            )  # fmt: skip
        except (anyio.BrokenResourceError, anyio.EndOfStream, ssl.SSLError, ssl.CertificateError) as error:
            raise httpcore.ConnectError(type(error).__name__) from error
        return _Stream(encrypted)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.extra(TLSAttribute.ssl_object, None) if info == "ssl_object" else None
