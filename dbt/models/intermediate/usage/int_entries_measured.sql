-- Entries with the measures that may be summed: tokens apart from other quantities, and unpriced quantities.
{{ measured_entries() }}
