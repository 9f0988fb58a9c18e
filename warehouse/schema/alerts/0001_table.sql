-- Changes of alerts: a row when one is raised, whenever it escalates, and when it is resolved.
CREATE TABLE IF NOT EXISTS tally.alerts
(
    `partition` UInt16,
    `offset` UInt64,
    seq UInt32,
    event_index Int32,
    accepted_at DateTime64(3, 'UTC'),
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
    since DateTime64(6, 'UTC'),
    last DateTime64(6, 'UTC'),
    due_at Nullable(DateTime64(6, 'UTC')),
    reason LowCardinality(String),
    past UInt8,
    evidence Array(Tuple(source String, id String, `partition` UInt16, `offset` UInt64, event_index UInt32)),
    PROJECTION reached (SELECT `partition`, max((`offset`, seq)) GROUP BY `partition`)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(accepted_at)
ORDER BY (organization, accepted_at, `partition`, `offset`, seq)
SETTINGS lightweight_mutation_projection_mode = 'rebuild', min_bytes_for_wide_part = 67108864,
fsync_after_insert = 1, fsync_part_directory = 1;
