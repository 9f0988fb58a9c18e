"""One message to one webhook: signed, sent within one deadline, and its answer."""

import asyncio
import base64
import hashlib
import hmac
import time
from functools import cache
from typing import NamedTuple
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from alerting.channels.network import Network
from alerting.channels.slack import render_slack
from alerting.messages import Message, render_standard
from alerting.webhooks import Webhook

DEADLINE_S = 10.0
"""All that one delivery may take, whatever its receiver does: lookup, connection, TLS, request and headers."""

HTTP_GONE = 410

_tls_context = cache(httpx.create_ssl_context)
"""The certificate authorities, read once a process: that takes longer than a post (`python -m
benchmarks.alert_latency`)."""


class Answer(NamedTuple):
    """A receiver's answer. ``status`` is the HTTP status, or why there is none; ``is_gone`` says that the receiver
    wants no more. Nothing that a receiver words is kept: no header, no body."""

    delivered: bool
    is_gone: bool
    status: str


def send(webhook: Webhook, message: Message, dashboards: str | None) -> Answer:
    """Post one message and wait for the answer, for a command."""
    return asyncio.run(post(webhook, message, dashboards, Network(DEADLINE_S)))


async def post(webhook: Webhook, message: Message, dashboards: str | None, network: Network) -> Answer:
    """Post one message, without following redirects: a message is for its own address alone.

    Every failure is an answer: that of one receiver, or a message that cannot be rendered, must not end the deliveries
    to others. Only the kind of an error is kept, since its text may hold the address."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            status = await _request(webhook, message, dashboards, network)
    except TimeoutError:
        return Answer(False, False, f"no answer within {DEADLINE_S:.0f} s")
    except Exception as error:  # noqa: BLE001 see above
        return Answer(False, False, f"no answer ({type(error).__name__})")
    finally:
        await network.close()
    return Answer(200 <= status < 300, status == HTTP_GONE, f"HTTP {status}")


async def _request(webhook: Webhook, message: Message, dashboards: str | None, network: Network) -> int:
    """Send the request, read up to the end of the headers, and return the status."""
    url = httpx.URL(webhook.url)
    if webhook.format == "slack":
        body, headers = render_slack(message, dashboards), {}
    else:
        body = render_standard(message)
        headers = sign_message(webhook.secret, message.id, int(time.time()), body)
    headers |= {"Content-Type": "application/json", "User-Agent": "tallystick"}
    if url.userinfo:
        pair = f"{url.username}:{url.password}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    tls_context = _tls_context() if url.scheme == "https" else None
    async with (
        httpcore.AsyncConnectionPool(ssl_context=tls_context, proxy=_proxy(url), network_backend=network) as pool,
        pool.stream("POST", target, headers=list(headers.items()), content=body) as response,
    ):
        return response.status


def _proxy(url: httpx.URL) -> httpcore.Proxy | None:
    """Find the proxy that the environment names for an address (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY)."""
    proxies = getproxies()
    address = None if proxy_bypass(url.host) else proxies.get(url.scheme) or proxies.get("all")
    if not address:
        return None
    proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
    raw = httpcore.URL(
        scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=proxy.url.raw_path
    )
    return httpcore.Proxy(raw, auth=proxy.raw_auth)


def sign_message(secret: str, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Make the headers of Standard Webhooks: HMAC-SHA256 over id, time and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
