-- Finds the rows of a position, and those above one: what rollups have not absorbed yet.
ALTER TABLE tally.events ADD INDEX IF NOT EXISTS position (`partition`, `offset`) TYPE minmax GRANULARITY 1 -- noqa: PRS
;
