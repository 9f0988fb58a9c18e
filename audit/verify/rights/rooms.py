"""Rooms: what a limit has left for a call, with the floors that it keeps for others (docs/rules.md, R18.7)."""

from collections.abc import Collection
from typing import NamedTuple

from audit.verify.rights.limits import Limit
from audit.verify.rights.meters import Meter
from audit.verify.rights.organization_rights import OrganizationRights
from audit.verify.rights.tree import Grant, find_dead


class Keep(NamedTuple):
    """The part of a child's floor that a limit keeps for it, with the child's own limit and meter."""

    guarantee: int
    limit: Limit
    meter: Meter


class Room(NamedTuple):
    """A limit with its meter, and the floors of the children to which the call is not charged."""

    limit: Limit
    meter: Meter
    keeps: list[Keep]

    @property
    def kept_amount(self) -> int:
        return sum(max(0, keep.guarantee - keep.meter.read_total(keep.limit)) for keep in self.keeps)

    @property
    def left_amount(self) -> int:
        return self.limit.amount - self.meter.read_total(self.limit) - self.kept_amount

    def is_possible(self, amount: int) -> bool:
        """Tell whether an amount fits an empty window, floors kept."""
        return amount + sum(keep.guarantee for keep in self.keeps) <= self.limit.amount

    def is_contended(self, amount: int) -> bool:
        """Tell whether an amount would fit without all that is reserved and leased."""
        kept_amount = sum(max(0, keep.guarantee - keep.meter.read_used(keep.limit)) for keep in self.keeps)
        return self.meter.read_used(self.limit) + amount + kept_amount <= self.limit.amount

    def find_refill(self, amount: int, now_us: int) -> int | None:
        """Return when time alone makes room for an amount; None where it never does."""
        if self.limit.window.kind == "total":
            return None
        declines = [keep.meter.list_declines(keep.limit) for keep in self.keeps]
        for step, used in enumerate(self.meter.list_declines(self.limit)):
            kept_amount = sum(
                max(0, keep.guarantee - keep.meter.committed - child_declines[step])
                for keep, child_declines in zip(self.keeps, declines, strict=True)
            )
            if used + self.meter.committed + amount + kept_amount <= self.limit.amount:
                return self.limit.window.find_change(now_us, step + 1)
        return None


def read_room(
    rights: OrganizationRights, grant: Grant, limit: Limit, charged_names: Collection[str], now_us: int
) -> Room:
    """Read the room of a limit for a call that is charged to some grants: nothing is kept from it for these."""
    meter = rights.read_meter(grant, limit, now_us)
    keeps = []
    for name in rights.tree.floors.get(grant.name, ()) if limit.is_enforced else ():
        child = rights.tree.grants[name]
        if name in charged_names or limit.key not in child.limits or find_dead([child], now_us) is not None:
            continue
        limits = [child.limits, *(posture.limits for posture in child.list_postures(now_us))]
        guarantee = min(named[limit.key].guarantee for named in limits if limit.key in named)
        if guarantee:
            child_limit = rights.find_limit(name, limit.key, now_us)
            assert child_limit is not None, "it has the limit"
            keeps.append(Keep(guarantee, child_limit, rights.read_meter(child, child_limit, now_us)))
    return Room(limit, meter, keeps)
