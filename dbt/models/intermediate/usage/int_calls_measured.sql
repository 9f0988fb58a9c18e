-- Inferences that are counted or quarantined, what takes their place or takes them back (with opposite
-- signs), and the measures that may be summed: calls (an aggregate stands for several), those whose cost is
-- not known, and the most that they may cost. No call is in two of the counts.
{{ measured_calls() }}
