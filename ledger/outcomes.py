"""The outcomes of an event, of which every accepted event has exactly one, and what else ``tally.entries`` says."""

COUNTED = "counted"
DUPLICATE = "duplicate"
CONFLICT = "conflict"
QUARANTINED = "quarantined"

HELD = "held"
"""The event's time lies ahead of the log's: it is counted when that time comes, and until then it is in no sum."""

OUTCOMES = (COUNTED, DUPLICATE, CONFLICT, QUARANTINED, HELD)
"""In the order in which they are shown: ``accepted = counted + duplicate + conflict + quarantined + held``."""

NO_FACTS = ("control", "tick", "admission", "lease")
"""Kinds of events that have outcomes and are counted apart: in no sum of what was accepted."""

REVERSAL = "reversal"
"""No outcome: a line of ``tally.entries`` that takes a counted entry back. Its event stays counted."""

REPLACEMENT = "replacement"
"""No outcome: a line of ``tally.entries`` with the entry that a correction puts in place of another."""

RELEASE = "release"
"""No outcome: a line of ``tally.entries`` by which an event that was held, quarantined or in conflict is counted after
all, with its entry. Its reason is the outcome that it leaves: one less there, and one more counted. Also the reason
of the reversal of a bound in quarantine."""

ACCEPTANCE = "acceptance"
"""The reason of the reversal of an entry in whose place a conflict is accepted."""

RESTATEMENT = "restatement"
"""No outcome: a line of ``tally.entries`` with the entry of a call by prices that were learned later. A reversal with
this reason takes the entry before it back."""

REVISION = "revision"
"""The reason of a reversal where the event came again with a greater revision; else it is what a correction does, a
reversal or a replacement."""
