"""Find e-mail addresses in texts, also in URLs and percent-encoded, and replace them. Pure.

An address is ``local@domain.tld`` (RFC 5322, with the letters of RFC 6531), ``local@localhost`` or ``local@[IP]``. A
version behind an ``@`` (``claude-3-5-sonnet@20240620``, ``image@sha256:...``, ``package@1.2.3``) is none.

RFC 5322 allows ``/``, ``=`` and ``|`` in a local part, and paths, assignments and user ids end in addresses:
``app/ann@example.com``, ``user=ann@example.com`` and ``auth0|ann@example.com`` are read as the address behind the sign,
so that the person has one pseudonym.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote

PSEUDONYM = re.compile(r"p_[0-9a-f]{24}")
_INVISIBLE = "\u00ad\u200b-\u200f\u2060-\u2064\ufeff"
_LOCAL = rf"[\w.+'!#$%&*/=?^`{{|}}~{_INVISIBLE}-]"  # atext of RFC 5322, and the point
_COMMENT = r"(?:\([^()@\r\n]{0,64}\))?"
_DELIMITERS = "'#*{|}`=&?/%"
"""Signs of ``_LOCAL`` that stand around addresses more often than they begin one."""
_LABEL = rf"[\w{_INVISIBLE}-]"
_ADDRESS = re.compile(
    rf'(?:(?<!{_LOCAL})(?P<local>{_LOCAL}++)|(?P<quoted>"[^"@\r\n]{{1,64}}")){_COMMENT}[@\uff20\ufe6b]{_COMMENT}'
    rf"(?P<domain>(?:{_LABEL}+[.\u3002\uff0e\uff61])+(?:xn--[A-Za-z0-9-]+|(?:[{_INVISIBLE}]{{0,4}}[^\W\d_]){{2,63}})"
    r"|localhost\b|\[[0-9A-Fa-f.:IPv]{3,45}\])"
)
_USERINFO = re.compile(r"(?<=://)(?P<user>[^\s/?#:@]*)(?P<rest>[^\s/?#]*)@")
_ENCODED_AT = re.compile(r"%(?:25)*40")
_INVISIBLE_CHARACTER = re.compile(f"[{_INVISIBLE}]")
_FINGERPRINT_OR_PSEUDONYM = re.compile(r"(?:p|fp)_[0-9a-f]{24}")


def may_hold_address(body: bytes) -> bool:
    """Tell quickly that a JSON text in UTF-8 holds no address; True where it must be looked at."""
    return b"@" in body or b"%" in body or b"\xef" in body  # the last one begins the wide forms of @


def holds_address(text: str) -> bool:
    """Tell whether a text holds an address, or a URL that names a user."""
    return replace_addresses(text, lambda name: "") != text


def replace_addresses(text: str, pseudonym: Callable[[str], str]) -> str:
    """Return a text with a pseudonym in the place of each address, and of the user that a URL names.

    An encoded address is decoded, so that the pseudonym is that of the person wherever it stands; the text around it
    is decoded with it. Idempotent.
    """
    if "://" in text:
        text = _USERINFO.sub(lambda match: _replace_user(match, pseudonym), text)
    if _ENCODED_AT.search(text) and _ADDRESS.search(decoded := _decode(text)):
        return replace_addresses(decoded, pseudonym)
    while (replaced := _ADDRESS.sub(lambda match: _replace_address(match, pseudonym), text)) != text:
        text = replaced  # what stood behind one address may be another; each has one @ less
    return text


def _replace_user(match: re.Match[str], pseudonym: Callable[[str], str]) -> str:
    user = _decode(match["user"])
    if match["rest"].startswith("@"):  # ftp://ann@example.com:password@host
        user += match["rest"].partition(":")[0]
    if not user:
        return ""
    return f"{user if _FINGERPRINT_OR_PSEUDONYM.fullmatch(user) else pseudonym(user)}@"


def _replace_address(match: re.Match[str], pseudonym: Callable[[str], str]) -> str:
    local = match["local"] or match["quoted"]
    start = _local_start(local) if match["local"] else 0
    if _FINGERPRINT_OR_PSEUDONYM.fullmatch(local[start:]):
        return match[0]
    address = f"{local[start:]}@{match['domain']}"
    return local[:start] + pseudonym(_INVISIBLE_CHARACTER.sub("", address))


def _local_start(text: str) -> int:
    """Return where the local part begins in what may be one: behind delimiters, a path, or the name of an assignment. A
    forwarded sender (``bounce+ann=example.com@list.example``) has no such name before its sign."""
    first = len(text) - len(text.lstrip(_DELIMITERS))
    if first == len(text):  # signs alone: all of them are the local part
        return 0
    cuts = "/|" if "=" not in text else "/|=&?"
    last = max(text.rfind(sign, first) for sign in cuts)
    if last == len(text) - 1 or (text[last] == "=" and "+" in text[:last]):
        last = text.rfind("/", first, last) if "+" in text[:last] else -1
    return max(first, last + 1)


def _decode(text: str) -> str:
    """Decode percent-encoding, however often it was applied; each time makes the text shorter."""
    while (shorter := unquote(text)) != text:
        text = shorter
    return text
