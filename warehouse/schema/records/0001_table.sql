-- Completeness: a row for each record of tally.events, with the number of events that the intake refused beside it.
CREATE TABLE IF NOT EXISTS tally.records
(
    `partition` UInt16 CODEC(ZSTD(1)),
    `offset` UInt64 CODEC(Delta, ZSTD(1)),
    seq UInt32 CODEC(ZSTD(1)),
    accepted_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    organization LowCardinality(String),
    channel LowCardinality(String),
    received UInt64 CODEC(ZSTD(1)),
    refused UInt64 CODEC(ZSTD(1)),
    PROJECTION reached (SELECT `partition`, max((`offset`, seq)) GROUP BY `partition`)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(accepted_at)
ORDER BY (organization, accepted_at, `partition`, `offset`)
SETTINGS lightweight_mutation_projection_mode = 'rebuild', min_bytes_for_wide_part = 67108864,
fsync_after_insert = 1, fsync_part_directory = 1;
