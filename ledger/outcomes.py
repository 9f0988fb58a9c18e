"""The outcomes of an event. Every accepted event has exactly one."""

COUNTED = "counted"
DUPLICATE = "duplicate"
CONFLICT = "conflict"
QUARANTINED = "quarantined"

OUTCOMES = (COUNTED, DUPLICATE, CONFLICT, QUARANTINED)
"""In the order in which they are shown: ``accepted = counted + duplicate + conflict + quarantined``."""
