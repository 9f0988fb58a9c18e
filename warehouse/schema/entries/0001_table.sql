-- The ledger: a row for each counted inference and class. A null cost is unpriced, which is not zero. A reversal is
-- negative, and names the position of the entry that it takes back; a restatement names that of the entry that it
-- restates; of any other entry that position is null. The billing month is empty where it is the month of the time.
CREATE TABLE IF NOT EXISTS tally.entries
(
    `partition` UInt16 CODEC(ZSTD(1)),
    `offset` UInt64 CODEC(Delta, ZSTD(1)),
    seq UInt32 CODEC(Delta, ZSTD(1)),
    event_index UInt32 CODEC(Delta, ZSTD(1)),
    accepted_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    organization LowCardinality(String),
    source LowCardinality(String),
    id String CODEC(ZSTD(1)),
    time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    outcome LowCardinality(String),
    original_offset Nullable(UInt64) CODEC(ZSTD(1)),
    original_index Nullable(UInt32) CODEC(ZSTD(1)),
    billing_month LowCardinality(String),
    -- begin stored dimensions (tools/dimensions.py)
    provider LowCardinality(String),
    provider_account LowCardinality(String),
    model LowCardinality(String),
    model_resolved LowCardinality(String),
    service_tier LowCardinality(String),
    speed LowCardinality(String),
    geography LowCardinality(String),
    region LowCardinality(String),
    context_tier Nullable(UInt64) CODEC(ZSTD(1)),
    team LowCardinality(String),
    project LowCardinality(String),
    feature LowCardinality(String),
    agent LowCardinality(String),
    session String CODEC(ZSTD(1)),
    customer LowCardinality(String),
    user String CODEC(ZSTD(1)),
    environment LowCardinality(String),
    purpose LowCardinality(String),
    payer LowCardinality(String),
    `key` LowCardinality(String),
    status LowCardinality(String),
    -- end stored dimensions
    class LowCardinality(String),
    quantity Int64 CODEC(ZSTD(1)),
    unit_price Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    list_cost Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    contracted_cost Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    effective_cost Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    billed_cost Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    greatest_cost Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    currency LowCardinality(String),
    price_document LowCardinality(String),
    price_id LowCardinality(String),
    tier_basis LowCardinality(String),
    contract_id LowCardinality(String),
    PROJECTION reached (SELECT `partition`, max((`offset`, seq)) GROUP BY `partition`)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(accepted_at)
ORDER BY (organization, time, `partition`, `offset`, seq)
SETTINGS lightweight_mutation_projection_mode = 'rebuild', min_bytes_for_wide_part = 67108864,
fsync_after_insert = 1, fsync_part_directory = 1;
