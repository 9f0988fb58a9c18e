"""Settings and the log, for commands."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pydantic import ValidationError

from ledger.errors import FileDamaged, TallyError
from ledger.home.files import make_folder
from ledger.log import Log
from ledger.log.open import open_log
from ledger.settings import Settings
from tally.generations.files import complete_switch, read_request
from tally.output import err


def settings(*, organization: str | None = None) -> Settings:
    """Read the settings from the environment; ``organization`` is an option's value and comes first. TallyError names
    the setting that is impossible."""
    try:
        return Settings() if organization is None else Settings(organization=organization)
    except ValidationError as error:
        first = error.errors()[0]
        name = "TALLY_" + "_".join(str(part) for part in first["loc"]).upper()
        value = str(first["input"]) if isinstance(first["input"], Path) else first["input"]
        raise TallyError(f"the setting {name} is {value!r}: {first['msg'].removeprefix('Value error, ')}") from None


def recover_switch(settings: Settings) -> None:
    """Complete a switch of generations that a kill interrupted. ``main`` calls it before every command.

    Where the log is on the home's own broker and that does not run, the command that starts the broker completes the
    switch. A log that does not answer is reported by the command that needs it."""
    complete_switch(settings)
    if not _is_switch_requested(settings):
        return
    try:
        log = open_log(settings)
    except TallyError:
        return
    with closing(log):
        _resume_switch(settings, log)


def make_home(settings: Settings) -> None:
    """Make the data folder where it is not there. TallyError where that cannot be, or nothing can be made in it."""
    make_folder(settings.home)
    make_folder(settings.run)


@contextmanager
def start_home_kafka(settings: Settings) -> Iterator[None]:
    """Have the home's own broker run meanwhile, where the log is on it."""
    if not settings.has_own_kafka:
        yield
        return
    from tally.processes.join import using
    from tally.processes.service import KAFKA

    with using(settings, KAFKA):
        yield


def adopt_default_prices(log: Log, settings: Settings) -> None:
    """Adopt the first price book of a log that has none."""
    from ingest.controls.prices import ensure_price_book

    ensure_price_book(log, settings)


@contextmanager
def opened(settings: Settings, *, new: bool = False) -> Iterator[Log]:
    """Open the log for a command that works with it: start the home's own broker for as long, and with ``new`` create
    what is missing and adopt the default prices."""
    if new:
        make_home(settings)
    with start_home_kafka(settings), closing(open_log(settings, new=new)) as log:
        if settings.has_own_kafka and _is_switch_requested(settings):
            _resume_switch(settings, log)  # ``main`` could not while the broker was down
        if new:
            adopt_default_prices(log, settings)
        yield log


def _resume_switch(settings: Settings, log: Log) -> None:
    from tally.generations.switch import resume

    resume(settings, log)


def _is_switch_requested(settings: Settings) -> bool:
    """Tell whether a switch waits. A request that cannot be read is reported, and the log is opened all the same."""
    try:
        return read_request(settings) is not None
    except FileDamaged as error:
        err.print(f"no generation is switched: {error}", style="yellow", markup=False)
        return False
