-- The inbox of tally.alerts, as entries_in is that of tally.entries.
CREATE TABLE IF NOT EXISTS tally.alerts_in
(
    `partition` UInt16,
    `offset` UInt64,
    seq UInt32,
    event_index Int32,
    accepted_ms Int64,
    organization LowCardinality(String),
    alert String,
    state LowCardinality(String),
    severity LowCardinality(String),
    detector LowCardinality(String),
    families Array(LowCardinality(String)),
    session String,
    agent LowCardinality(String),
    team LowCardinality(String),
    tool LowCardinality(String),
    arguments_hash String,
    result_hash String,
    calls UInt64,
    repeats UInt64,
    spent Map(LowCardinality(String), Decimal(38, 12)),
    per_hour Map(LowCardinality(String), Decimal(38, 12)),
    projected Map(LowCardinality(String), Decimal(38, 12)),
    since_us Int64,
    last_us Int64,
    due_us Nullable(Int64),
    reason LowCardinality(String),
    past UInt8,
    evidence Array(Tuple(source String, id String, `partition` UInt16, `offset` UInt64, event_index UInt32))
)
ENGINE = Null;
