-- As in events/0003_index.sql.
ALTER TABLE tally.records ADD INDEX IF NOT EXISTS position (`partition`, `offset`) TYPE minmax GRANULARITY 1 -- noqa: PRS
;
