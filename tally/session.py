"""What every command begins with: its settings, and the log of the home."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from pydantic import ValidationError

from ledger.errors import FileDamaged, TallyError
from ledger.home.files import make_folder
from ledger.log import Log
from ledger.log.open import open_log
from ledger.settings import Settings
from tally.generations.files import read_request, complete_switch
from tally.output import err


def settings(*, organization: str | None = None) -> Settings:
    """The settings of the environment, and what an option says instead. TallyError where one is impossible. Where a
    switch to a new generation was begun, it is completed first."""
    try:
        chosen = Settings() if organization is None else Settings(organization=organization)
    except ValidationError as error:
        first = error.errors()[0]
        name = "TALLY_" + "_".join(str(part) for part in first["loc"]).upper()
        value = str(first["input"]) if isinstance(first["input"], Path) else first["input"]
        raise TallyError(f"the setting {name} is {value!r}: {first['msg'].removeprefix('Value error, ')}") from None
    complete_switch(chosen)
    return chosen


def make_home(settings: Settings) -> None:
    """Make the data folder where it is not there. TallyError where that cannot be, or nothing can be made in it."""
    make_folder(settings.home)
    make_folder(settings.run)


@contextmanager
def opened(settings: Settings, *, new: bool = False) -> Iterator[Log]:
    """The log. With ``new`` a home and a log are made where none are, and the first price book adopted.
    Where it is on the home's own broker that one runs meanwhile. A home whose log names a new generation already has
    that one's files from here on."""
    if new:
        make_home(settings)
    with ExitStack() as stack:
        if settings.has_own_kafka:
            from tally.processes.join import using
            from tally.processes.service import KAFKA

            stack.enter_context(using(settings, KAFKA))
        log = stack.enter_context(closing(open_log(settings, new=new)))
        if _is_switch_asked(settings):
            from tally.generations.switch import resume

            resume(settings, log)
        if new:
            from ingest.controls.prices import ensure_price_book

            ensure_price_book(log, settings)
        yield log


def _is_switch_asked(settings: Settings) -> bool:
    """Whether a switch waits. A request that cannot be read is told, and keeps nobody from the log."""
    try:
        return read_request(settings) is not None
    except FileDamaged as error:
        err.print(f"no generation is switched: {error}", style="yellow", markup=False)
        return False
