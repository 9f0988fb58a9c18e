-- One row for each record of tally.events that was folded: what its door received, and refused beside what stands in it.

CREATE TABLE IF NOT EXISTS tally.records
(
    `partition` UInt16,
    `offset` UInt64 CODEC(Delta, ZSTD(1)),
    seq UInt32, -- one more than the record has lines
    accepted_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    organization LowCardinality(String),
    door LowCardinality(String),
    received UInt32,
    refused UInt32,
    PROJECTION positions
    (
        SELECT `partition`, max((`offset`, seq)), maxIf((`offset`, seq), seq > 1) GROUP BY `partition`
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(accepted_at)
ORDER BY (organization, accepted_at, `partition`, `offset`)
SETTINGS default_compression_codec = 'ZSTD(1)', lightweight_mutation_projection_mode = 'rebuild';

CREATE MATERIALIZED VIEW IF NOT EXISTS tally.records_from_log TO tally.records AS
WITH
    (
        SELECT mapFromArrays(groupArray(`partition`), groupArray(position))
        FROM (SELECT `partition`, max((`offset`, seq)) AS position FROM tally.records GROUP BY `partition`)
    ) AS floors,
    (
        SELECT throwIf(uniqExact(toYYYYMM(accepted_at)) > 1, 'one insert holds one month of acceptance')
        FROM tally.entries_in
    ) AS months_are_mixed
SELECT `partition`, `offset`, seq, accepted_at, organization, door, received, refused
FROM tally.entries_in
WHERE outcome = 'record' AND (`offset`, seq) > floors[`partition`] AND NOT months_are_mixed;
