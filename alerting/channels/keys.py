"""Addresses that hold a key in place of a user (pure)."""

from urllib.parse import unquote, urlsplit, urlunsplit


def split_key(address: str) -> tuple[str, str]:
    """Split an address into itself without the key, and the key."""
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, parts.query, "")), unquote(parts.username or "")
