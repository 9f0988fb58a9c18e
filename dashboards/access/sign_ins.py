"""Sign-ins with the home's password (pure): their signed cookie with its expiry, and the limit of attempts."""

import hashlib
import hmac
import secrets
from collections import deque

SIGN_IN_S = 12 * 3600
"""Seconds that a sign-in lasts."""
COOKIE_PREFIX = "tally_sign_in_"
MAX_FAILURES = 5
FAILURE_WINDOW_S = 60
MAX_ADDRESSES = 10_000
MAX_TOTAL_FAILURES = 300
"""Wrong passwords that are checked within a window, for one address and for all addresses together."""


class SignIns:
    """Sign-ins of one password. Nobody makes one without the password, and a new password ends all."""

    def __init__(self, password: str) -> None:
        self._password = password.encode()
        self._key = hashlib.sha256(b"dashboards sign-in\0" + self._password).digest()
        self.cookie = f"{COOKIE_PREFIX}{self._sign('name')[:8]}"
        """Names this home alone, since browsers send a host's cookies to all its ports."""
        self._revoked_claims: dict[str, int] = {}

    def is_password(self, text: str) -> bool:
        """Tell whether a text is the password, in a time that does not depend on where they differ."""
        return hmac.compare_digest(text.encode(), self._password)

    def create(self, now: int) -> str:
        """Return a new sign-in as the value of the cookie. Times are seconds since 1970."""
        claim = f"{now + SIGN_IN_S}.{secrets.token_hex(16)}"
        return f"{claim}.{self._sign(claim)}"

    def find_expiry(self, value: str, now: int) -> int | None:
        """Return the second at which a sign-in expires; None where the value is no sign-in, or it has ended."""
        claim, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(claim).encode()):
            return None
        expiry = int(claim.partition(".")[0])
        return expiry if expiry > now and claim not in self._revoked_claims else None

    def end(self, value: str, now: int) -> None:
        """End a sign-in before its time."""
        expiry = self.find_expiry(value, now)
        self._revoked_claims = {claim: end_s for claim, end_s in self._revoked_claims.items() if end_s > now}
        if expiry is not None:
            self._revoked_claims[value.rpartition(".")[0]] = expiry

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


class Attempts:
    """Recent wrong passwords, by address."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[float]] = {}
        self._total_failures: deque[float] = deque(maxlen=MAX_TOTAL_FAILURES)

    def wait_s(self, address: str, now: float) -> int:
        """Return the seconds until this address may try again; 0 where it may now."""
        address_failures = self._failures.get(address, deque())
        waits = [
            times[0] + FAILURE_WINDOW_S - now
            for times, limit in ((address_failures, MAX_FAILURES), (self._total_failures, MAX_TOTAL_FAILURES))
            if len(times) >= limit
        ]
        return max(0, *(int(wait) + 1 for wait in waits if wait > 0), 0)

    def fail(self, address: str, now: float) -> None:
        """Count a wrong password."""
        if address not in self._failures and len(self._failures) >= MAX_ADDRESSES:
            self._failures.pop(next(iter(self._failures)))
        self._failures.setdefault(address, deque(maxlen=MAX_FAILURES)).append(now)
        self._total_failures.append(now)


def to_local_path(text: str) -> str:
    """Return a link's target where it is a path of this server, else the overview, for the redirect after a sign-in."""
    is_path = text.startswith("/") and not text.startswith(("//", "/\\", "/sign-"))
    return text if is_path and text.isascii() and text.isprintable() and "\\" not in text else "/"
