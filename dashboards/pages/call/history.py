"""The history of an event: its release, what replaces it, the calls that it counts, and all of that in words."""

from collections.abc import Iterator
from typing import NamedTuple

from dashboards.pages.call import queries
from dashboards.sources.versions import EventIdentity, list_versions, read_position
from dashboards.sources.warehouse import Row
from dashboards.sources.withdrawals import Withdrawal, find_withdrawals
from ledger.log import Position
from ledger.outcomes import HELD, QUARANTINED, RELEASE, REPLACEMENT, REVERSAL

OUTCOMES = {
    "duplicate": "Duplicate: this event, or a greater revision of it, had arrived before. This one is not counted.",
    "conflict": "Conflict: an earlier event has the same identity and other content. This one is not counted.",
    "quarantined": "Quarantined: this event was accepted, but is kept out of the ledger.",
    "held": "Held: the time of this event lies ahead. It is counted when that time comes.",
}
RELEASES = {
    "held": "Held, then counted: its time lay ahead of the log's when it came.",
    "quarantined": "Quarantined, then counted: a correction released it.",
    "conflict": "In conflict, then counted: a correction accepted it in place of the event that had its identity.",
}
WITHDRAWALS = {
    "reversal": "Taken back: a correction reversed this event while it was held. It will not be counted.",
    "replacement": "Replaced: a correction took the place of this event while it was held. It will not be counted.",
    "revision": "Revised: this event came again with a greater revision while it was held. It will not be counted.",
    "acceptance": "Replaced: a conflict was accepted in its place while it was held. It will not be counted.",
}
"""For an event that is held still. One that fell due is not counted, by the same causes."""
CORRECTIONS = {
    "reversal": "Reversed: a correction took this call out of the ledger. Its sums are zero.",
    "replacement": "Replaced: a correction counts in place of this call. Its sums are zero.",
    "acceptance": "Replaced: a conflict was accepted in place of this call. Its sums are zero.",
    "revision": "Revised: this call came again with a greater revision, which counts in its place. Its sums are zero.",
}
REPLACED = "Replaced: a correction counts in place of this event. The figures are the correction's."
QUARANTINE_REVERSALS = {
    "reversal": "Quarantined, and taken back: a correction took back what this event may cost.",
    "acceptance": "Quarantined, and replaced: a conflict was accepted in its place.",
    "revision": "Quarantined, and revised: this event came again with a greater revision.",
}
"""For an event in quarantine whose bound was taken back."""


class History(NamedTuple):
    """An event with what came of it: the amendments that name it, the calls that count for it or counted, in the
    order of the folds, and what took it out of force while it was held."""

    event: Row
    amendments: list[Row]
    calls: list[Row]
    withdrawal: Withdrawal | None

    @property
    def call(self) -> Row | None:
        """Return the call in force; where none is, the last one that was. None of what never counted a call."""
        in_force = [call for call in self.calls if not call["corrected_by"]]
        candidates = in_force or self.calls
        return candidates[-1] if candidates else None

    @property
    def release(self) -> Row | None:
        """Return the release of the event; None where it had none."""
        return next((row for row in self.amendments if row["amendment"] == RELEASE), None)

    @property
    def replacement(self) -> Row | None:
        """Return the replacement whose call the figures are; None where they are the event's own."""
        replacements = [row for row in self.amendments if row["amendment"] == REPLACEMENT]
        return replacements[-1] if replacements else None

    @property
    def has_own_call(self) -> bool:
        """Tell whether the event's own line counted a call, where it stands or at its release."""
        replacements = [read_position(row) for row in self.amendments if row["amendment"] == REPLACEMENT]
        return any(read_position(call) not in replacements for call in self.calls)

    @property
    def bound_reversal(self) -> str | None:
        """Return the cause that took back what the event may cost in quarantine; None where nothing did."""
        reasons = [row["reason"] for row in self.amendments if row["amendment"] == REVERSAL]
        return reasons[-1] if reasons and self.event["outcome"] == QUARANTINED else None

    @property
    def has_newer_version(self) -> bool:
        """Tell whether another line of the identity took the place of this one."""
        causes = ("acceptance", "revision")
        last = self.call["corrected_by"] if self.call is not None else self.bound_reversal
        return last in causes or (self.withdrawal is not None and self.withdrawal.cause in causes)


def find_subject(identity: EventIdentity, arrivals: list[Row]) -> Position | None:
    """Find the position of the line in force of an identity, else of the first that arrived; None of no line."""
    if not arrivals:
        return None
    owner = identity._replace(organization=arrivals[0]["organization"])
    versions = list_versions([owner])[owner]
    return versions[-1].position if versions else read_position(arrivals[0])


def load_history(event: Row) -> History:
    """Load what came of an event."""
    amendments = queries.list_amendments(event)
    additions = [read_position(row) for row in amendments if row["amendment"] != REVERSAL]
    history = History(event, amendments, queries.list_calls([read_position(event), *additions]), None)
    was_held = HELD in (event["outcome"], event["released_from"])
    if history.has_own_call or not was_held:
        return history
    return history._replace(withdrawal=find_withdrawals([event]).get(read_position(event)))


def describe(history: History) -> Iterator[tuple[str, bool]]:
    """Yield sentences that say what became of the event, each with whether it is a warning."""
    event, call, withdrawal = history.event, history.call, history.withdrawal
    outcome, released_from = event["outcome"], event["released_from"]
    if withdrawal is not None:
        text = WITHDRAWALS[withdrawal.cause]
        yield text if outcome == HELD else text.replace("will not be", "was not"), True
    elif released_from:
        yield RELEASES[released_from], False
    elif outcome in OUTCOMES and history.replacement is None:
        yield QUARANTINE_REVERSALS.get(history.bound_reversal or "", OUTCOMES[outcome]), True
    if history.replacement is not None and (withdrawal is None or withdrawal.cause != "replacement"):
        yield REPLACED, True
    if call is not None and call["corrected_by"]:
        yield CORRECTIONS[call["corrected_by"]], True
