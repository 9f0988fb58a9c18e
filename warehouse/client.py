"""How the rest of the platform reaches the warehouse: a ClickHouse client, embedded or a server's."""

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from ledger.errors import TallyError
from ledger.home.presence import find_presence
from ledger.settings import Settings

if TYPE_CHECKING:  # it takes half a second, and who only asks where the warehouse is needs none
    from clickhouse_connect.driver.client import Client


CURRENT_DATABASE, REBUILD_DATABASE = "tally", "tally_beside"
"""The databases of the current generation, and on a ClickHouse server of the one that a rebuild makes."""


class WarehouseAway(TallyError):
    """The warehouse does not run, or does not answer: it may come back."""


class Address(NamedTuple):
    """Where the warehouse listens, and as whom to ask."""

    url: str
    user: str
    password: str


def find_address(settings: Settings) -> Address:
    """The server of ``TALLY_WAREHOUSE``, or the embedded one. TallyError where the URL is none, WarehouseAway where it
    does not run."""
    if settings.warehouse is not None:
        parts = urlsplit(settings.warehouse)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise TallyError(
                f"TALLY_WAREHOUSE is {settings.warehouse!r}: it has the form http://user:password@host:8123"
            )
        url = f"{parts.scheme}://{parts.hostname}:{parts.port or (8443 if parts.scheme == 'https' else 8123)}"
        return Address(url, unquote(parts.username or "default"), unquote(parts.password or ""))
    facts = find_presence(settings.home, "warehouse")
    if facts is None:
        raise WarehouseAway(
            f"no warehouse runs for {settings.home}: start it with `tally up` or `tally warehouse serve`"
        )
    return Address(facts["url"], facts["user"], facts["password"])


def connect(settings: Settings) -> "Client":
    """A client of the warehouse. WarehouseAway where it does not answer."""
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
    """Where the tables are that the client reads and fills."""
    return client.database or CURRENT_DATABASE
