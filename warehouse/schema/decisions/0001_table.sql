-- Decisions of the folds: thresholds crossed and armed again, control records applied or without effect.
CREATE TABLE IF NOT EXISTS tally.decisions
(
    `partition` UInt16,
    `offset` UInt64,
    seq UInt32,
    event_index Int32,
    accepted_at DateTime64(3, 'UTC'),
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
    thresholds Array(UInt16),
    past UInt8,
    used Nullable(Decimal(38, 12)),
    unknown_usage LowCardinality(String),
    assumed Nullable(Decimal(38, 12)),
    unknown_calls UInt64,
    unknown_tokens UInt64,
    unbounded_calls UInt64,
    window_end Nullable(DateTime64(6, 'UTC')),
    due_at Nullable(DateTime64(6, 'UTC')),
    event_source String,
    event_id String,
    effective_at Nullable(DateTime64(6, 'UTC')),
    known_at Nullable(DateTime64(6, 'UTC')),
    body String,
    PROJECTION reached (SELECT `partition`, max((`offset`, seq)) GROUP BY `partition`)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(accepted_at)
ORDER BY (organization, accepted_at, `partition`, `offset`, seq)
SETTINGS lightweight_mutation_projection_mode = 'rebuild', min_bytes_for_wide_part = 67108864,
fsync_after_insert = 1, fsync_part_directory = 1;
