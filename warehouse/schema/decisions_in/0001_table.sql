-- The inbox of tally.decisions, as entries_in is that of tally.entries.
CREATE TABLE IF NOT EXISTS tally.decisions_in
(
    `partition` UInt16,
    `offset` UInt64,
    seq UInt32,
    event_index Int32,
    accepted_ms Int64,
    organization LowCardinality(String),
    decision LowCardinality(String),
    control_type LowCardinality(String),
    reason String,
    dimension LowCardinality(String),
    scope String,
    window_s UInt64,
    limit Nullable(Decimal(38, 12)),
    currency LowCardinality(String),
    threshold UInt16,
    used Nullable(Decimal(38, 12)),
    unknown_usage LowCardinality(String),
    assumed Nullable(Decimal(38, 12)),
    unknown_calls UInt64,
    unknown_tokens UInt64,
    unbounded_calls UInt64,
    window_end_us Nullable(Int64),
    due_us Nullable(Int64),
    event_source String,
    event_id String,
    effective_us Nullable(Int64),
    known_us Nullable(Int64),
    body String
)
ENGINE = Null;
