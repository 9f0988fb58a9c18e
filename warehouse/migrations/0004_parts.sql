-- The linter does not know MODIFY SETTING.
-- noqa: disable=PRS
-- A part with a file a column takes five mebibytes of buffers for each of them while it is written, and these tables
-- have many: an insert of short lines would take more memory than a query may have. Merges make such parts of these.
ALTER TABLE tally.events MODIFY SETTING min_bytes_for_wide_part = 67108864;
ALTER TABLE tally.entries MODIFY SETTING min_bytes_for_wide_part = 67108864;
ALTER TABLE tally.records MODIFY SETTING min_bytes_for_wide_part = 67108864;
ALTER TABLE tally.decisions MODIFY SETTING min_bytes_for_wide_part = 67108864;
ALTER TABLE tally.alerts MODIFY SETTING min_bytes_for_wide_part = 67108864;
