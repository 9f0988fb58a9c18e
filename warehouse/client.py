"""Connect the platform to the warehouse, the embedded one or a ClickHouse server, with a ClickHouse client."""

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from ledger.errors import TallyError
from ledger.home.presence import find_presence
from ledger.settings import Settings

if TYPE_CHECKING:  # importing the client takes half a second, and `find_address` needs none
    from clickhouse_connect.driver.client import Client


CURRENT_DATABASE, REBUILD_DATABASE = "tally", "tally_beside"
"""The databases of the current generation and, on a ClickHouse server, of the generation that a rebuild makes."""


class WarehouseAway(TallyError):
    """The warehouse does not run or does not answer. It may come back, so a caller may retry."""


class Address(NamedTuple):
    """The warehouse's URL, and the credentials to connect with."""

    url: str
    user: str
    password: str


def find_address(settings: Settings) -> Address:
    """Return the address of the server of ``TALLY_WAREHOUSE``, or of the embedded one.

    TallyError where ``TALLY_WAREHOUSE`` is no URL, WarehouseAway where the embedded warehouse does not run.
    """
    if settings.warehouse is not None:
        parts = urlsplit(settings.warehouse)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TallyError(
                f"TALLY_WAREHOUSE is {settings.warehouse!r}: it has the form http://user:password@host:8123"
            )
        url = f"{parts.scheme}://{parts.hostname}:{parts.port or (8443 if parts.scheme == 'https' else 8123)}"
        return Address(url, unquote(parts.username or "default"), unquote(parts.password or ""))
    facts = _find_embedded(settings)
    return Address(facts["url"], facts["user"], facts["password"])


def find_analyst_address(settings: Settings) -> Address:
    """Return the address of the warehouse for statements that people write: as the embedded warehouse's user who only
    reads, or as the user of ``TALLY_WAREHOUSE``. It fails as ``find_address`` does."""
    if settings.warehouse is not None:
        return find_address(settings)
    facts = _find_embedded(settings)
    return Address(facts["url"], **facts["analyst"])


def _find_embedded(settings: Settings) -> dict[str, Any]:
    """Return what the home's running warehouse announced. WarehouseAway where none runs."""
    facts = find_presence(settings.home, "warehouse")
    if facts is None:
        raise WarehouseAway(
            f"no warehouse runs for {settings.home}: start it with `tally up` or `tally warehouse serve`"
        )
    return facts


def connect(settings: Settings) -> "Client":
    """Connect a client to the warehouse. WarehouseAway where it does not answer."""
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import ClickHouseError

    url, user, password = find_address(settings)
    is_rebuild = settings.warehouse is not None and settings.generation is not None
    try:
        return clickhouse_connect.get_client(
            dsn=url, username=user, password=password, database=REBUILD_DATABASE if is_rebuild else None,
            autogenerate_session_id=False, compress=False,
        )  # fmt: skip
    except ClickHouseError as error:
        raise WarehouseAway(f"the warehouse at {url} does not answer: {error}") from error


def get_database(client: "Client") -> str:
    """Return the name of the database that the client reads and fills."""
    return client.database or CURRENT_DATABASE
