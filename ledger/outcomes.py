"""The outcomes of an event, of which every accepted event has exactly one, and what else ``tally.entries`` says."""

COUNTED = "counted"
DUPLICATE = "duplicate"
CONFLICT = "conflict"
QUARANTINED = "quarantined"

OUTCOMES = (COUNTED, DUPLICATE, CONFLICT, QUARANTINED)
"""In the order in which they are shown: ``accepted = counted + duplicate + conflict + quarantined``."""

REVERSAL = "reversal"
"""No outcome: a line of ``tally.entries`` that takes a counted entry back. Its event stays counted."""

REPLACEMENT = "replacement"
"""No outcome: a line of ``tally.entries`` with the entry that a correction puts in place of another."""

RESTATEMENT = "restatement"
"""No outcome: a line of ``tally.entries`` with the entry of a call by prices that were learned later. A reversal with
this reason takes the entry before it back."""

REVISION = "revision"
"""The reason of a reversal where the event came again with a greater revision; else it is what a correction does, a
reversal or a replacement."""
