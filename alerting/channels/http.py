"""Requests over HTTP: sent without following redirects, and their answer."""

import base64
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from alerting.channels.channel import Answer, Request
from alerting.channels.network import Network

HTTP_GONE = 410
MAX_RETRY_AFTER_S = 86_400.0

tls_context = cache(httpx.create_ssl_context)
"""The certificate authorities, read once a process: that takes longer than a post (`python -m
benchmarks.alert_latency`)."""


async def send_request(request: Request, network: Network) -> Answer:
    """Send a request, read up to the end of the headers, and return the answer. A message is for its own address alone,
    so a redirect is an answer like any other."""
    url = httpx.URL(request.url)
    headers = {"Content-Type": "application/json", "User-Agent": "tallystick"} | request.headers
    if url.userinfo:
        pair = f"{url.username}:{url.password}".encode()
        headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    context = tls_context() if url.scheme == "https" else None
    async with (
        httpcore.AsyncConnectionPool(ssl_context=context, proxy=_proxy(url), network_backend=network) as pool,
        pool.stream(request.method, target, headers=list(headers.items()), content=request.body) as response,
    ):
        status = response.status
        retry_after_s = _read_retry_after(dict(response.headers)) if status in (429, 503) else None
        return Answer(200 <= status < 300, status == HTTP_GONE, f"HTTP {status}", retry_after_s)


def _read_retry_after(headers: dict[bytes, bytes]) -> float | None:
    """Read when a receiver wants the next request, a day at most; None where it does not say so in a form of HTTP."""
    values = [value for name, value in headers.items() if name.lower() == b"retry-after"]
    if not values:
        return None
    text = values[0].decode("ascii", errors="replace").strip()
    try:
        seconds = float(text) if text.isdigit() else (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # no date, or one without a zone
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


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
