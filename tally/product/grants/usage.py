"""Read the grants of an organization with what is used, reserved, leased and left of them, by folding the log again."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import NamedTuple

from ingest.controls.append import SOURCE
from ingest.intake.intake import Intake, decode, pseudonym_secret_name
from ingest.intake.rejection import Rejection
from ledger.errors import TallyError
from ledger.home.secrets import read_secret
from ledger.log import Log, partition_of
from ledger.log.topics import EVENTS
from ledger.settings import Settings
from streams.folds.grants.floors import Room, read_room
from streams.folds.grants.limits import Limit
from streams.folds.grants.meters import NAME, find_refill
from streams.folds.grants.tree import GRANT, Grant, Outside, find_stopped, list_limits, load_grant, load_path
from streams.folds.state import State, key_text
from streams.runtime import read_catalogues
from tally.log.partition_copy import PartitionCopy
from tallystick.vocabulary.base import EARLIEST
from tallystick.vocabulary.controls.grants import GrantCreated

Progress = Callable[[int], object]
_LAST_CHARACTER = chr(0x10FFFF)


class LimitUsage(NamedTuple):
    """What is used of a limit in the window that ends now. Amounts of money are in pico. ``kept`` is what it keeps for
    grants below that have a floor. ``refill_us`` is when time alone has emptied that window; None where nothing is
    used, or nothing comes back."""

    limit: Limit
    used: int
    reserved: int
    leased: int
    kept: int
    refill_us: int | None

    @property
    def borrowed(self) -> int:
        """Return what is used, reserved and leased beyond the floor; nothing where there is no floor."""
        return max(self.used + self.reserved + self.leased - self.limit.floor, 0) if self.limit.floor else 0

    @property
    def left(self) -> int:
        """Return what is left for grants that have no floor, and for calls of the grant itself."""
        return max(self.limit.amount - self.used - self.reserved - self.leased - self.kept, 0)


class GrantUsage(NamedTuple):
    """A grant, the names of those above it, its limits in force, and the grant by which no call may be made now."""

    grant: Grant
    above: tuple[str, ...]
    limits: list[LimitUsage]
    stop: Outside | None

    @property
    def state(self) -> str:
        """Return ``active``, or why no call may be made by it, and by which grant above where it is not its own."""
        if self.stop is None:
            return "active"
        is_own = self.stop.grant.name == self.grant.name
        return self.stop.reason if is_own else f"{self.stop.reason} with {self.stop.grant.name}"


class Grants(NamedTuple):
    """The grants of an organization, each below its parent, at the log's time."""

    organization: str
    time_us: int | None
    usages: list[GrantUsage]

    def find(self, name: str) -> GrantUsage | None:
        return next((usage for usage in self.usages if usage.grant.name == name), None)

    def list_below(self, name: str) -> list[GrantUsage]:
        """Return the grants below a grant."""
        return [usage for usage in self.usages if name in usage.above]

    def list_of_scope(self, dimension: str, scope: str) -> list[GrantUsage]:
        """Return the grants of a scope."""
        return [usage for usage in self.usages if (usage.grant.dimension, usage.grant.scope) == (dimension, scope)]


def read_grants(log: Log, organization: str, progress: Progress = lambda count: None) -> Grants:
    """Read all grants of an organization as the log has them now."""
    partition = partition_of(organization)
    last = log.last(EVENTS, partition)
    if last is None:
        return Grants(organization, None, [])
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        copy = PartitionCopy(db, log, partition, read_catalogues(log))
        for count, _ in copy.fold(last.offset + 1):
            progress(count)
        now_us = last.time_ms * 1000 + 999  # the end of its millisecond: what came with it has started
        grants = _sort_tree(_read_rows(db, organization, partition, copy.state))
        return Grants(organization, now_us, [_measure(organization, grant, copy.state, now_us) for grant in grants])


def seal_scope(settings: Settings, dimension: str, scope: str) -> str:
    """Return a scope as it stands on the log: a pseudonym in place of a person, a fingerprint in place of a key.
    TallyError where no grant can have it."""
    key = read_secret(settings.home, pseudonym_secret_name(settings.organization)) or ""
    body = {"grant": "search", "dimension": dimension, "scope": scope}
    event = {"id": "search", "source": SOURCE, "type": "tallystick.control.v1", "time": EARLIEST.isoformat()}
    data = {"control": GrantCreated.control_type, "body": body}
    try:
        line = Intake(key, ("control",)).accept_event(event | {"data": data}).line
    except Rejection as refused:
        raise TallyError(f"no grant is of the scope {dimension}={scope}, which {refused.reason}") from None
    sealed: str = decode(line)["data"]["body"]["scope"]
    return sealed


def _read_rows(db: sqlite3.Connection, organization: str, partition: int, state: State) -> list[Grant]:
    prefix = key_text((NAME, GRANT, organization, ""))[: -len('"]')]
    rows = db.execute(
        "SELECT key FROM state WHERE partition = ? AND key >= ? AND key < ? ORDER BY key",
        (partition, prefix, prefix + _LAST_CHARACTER),
    ).fetchall()
    names = [str(decode(key.encode())[-1]) for (key,) in rows]
    return [grant for name in names if (grant := load_grant(state, organization, name)) is not None]


def _sort_tree(grants: Iterable[Grant]) -> list[Grant]:
    """Put each grant below its parent, siblings by name."""
    children: dict[str | None, list[Grant]] = {}
    for grant in grants:
        children.setdefault(grant.parent, []).append(grant)

    def walk(parent: str | None) -> list[Grant]:
        return [below for grant in children.get(parent, ()) for below in (grant, *walk(grant.name))]

    return walk(None)


def _measure(organization: str, grant: Grant, state: State, now_us: int) -> GrantUsage:
    path: Sequence[Grant] = load_path(state, organization, grant.name)
    limits = [
        _measure_limit(read_room(state, organization, grant, limit, (), now_us), state, now_us)
        for limit in list_limits(grant, now_us)
    ]
    return GrantUsage(grant, tuple(above.name for above in path[1:]), limits, find_stopped(path, now_us))


def _measure_limit(room: Room, state: State, now_us: int) -> LimitUsage:
    limit, meter, refill_us = room.limit, room.meter, None
    if meter.used > 0:
        refill_us = find_refill(state, room.key, limit, limit.amount - meter.committed, now_us)
    return LimitUsage(limit, meter.used, meter.reserved, meter.leased, room.kept, refill_us)
