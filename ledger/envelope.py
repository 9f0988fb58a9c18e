"""The names of the headers of a record."""

ORGANIZATION = "organization"
CHANNEL = "channel"
"""The way a record came in."""
FORMER_CHANNEL = "door"  # words: allow
"""The name of this header before the first release. A SQLite log of that time is refused by its format when opened."""
PRINCIPAL = "principal"
SCHEMA = "schema"
REFUSED = "refused"
"""The number of events that were refused beside those that the record holds."""

RELAY_OF = "relay_of"
"""The original of a relay, as ``partition:offset``."""
RELAY_AFTER = "relay_after"
"""The original before a relay or an original; empty where there is none."""

CAUSE_PARTITION = "cause_partition"
CAUSE_OFFSET = "cause_offset"
CAUSE_HASH = "cause_hash"
"""The position and the digest of the record that a derived one follows from."""
