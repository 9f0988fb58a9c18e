"""What every command begins with: its settings, and the log of the home."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from pydantic import ValidationError

from ledger.errors import TallyError
from ledger.log.embedded import EmbeddedLog
from ledger.settings import Settings


def settings(*, organization: str | None = None) -> Settings:
    """The settings of the environment, and what an option says instead. TallyError where one is impossible."""
    try:
        return Settings() if organization is None else Settings(organization=organization)
    except ValidationError as error:
        first = error.errors()[0]
        name = "TALLY_" + "_".join(str(part) for part in first["loc"]).upper()
        raise TallyError(f"the setting {name} is {first['input']!r}: {first['msg']}") from None


@contextmanager
def opened(settings: Settings, *, new: bool = False) -> Iterator[EmbeddedLog]:
    """The log of the home. With ``new`` a home is made where none is, and its first price book adopted."""
    if new:
        try:
            settings.home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TallyError(
                f"cannot make the data folder {settings.home} ({error.strerror}): "
                "set TALLY_HOME to a folder you may write"
            ) from None
    elif not (settings.home / "log").is_dir():
        raise TallyError(
            f"{settings.home} holds no log: `tally import`, `tally up` or `tally demo` makes one; "
            "TALLY_HOME names another folder"
        )
    with closing(EmbeddedLog(settings.home)) as log:
        if new:
            from ingest.control import ensure_price_book

            ensure_price_book(log, settings)
        yield log
