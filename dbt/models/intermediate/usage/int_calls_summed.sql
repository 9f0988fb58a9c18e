-- Counted inferences, and what takes them back or restates them, each with the sums of its own entries: those
-- of the same line of the topic. They are signed, so that a call and all that came to it later add up to what
-- it costs now. An amendment names the call that it belongs to, and has its time.
{{ summed_calls() }}
