-- What became of each event: one row a line of tally.entries. Positions are those on tally.events.
CREATE TABLE IF NOT EXISTS tally.events
(
    `partition` UInt16 CODEC(ZSTD(1)),
    `offset` UInt64 CODEC(Delta, ZSTD(1)),
    seq UInt32 CODEC(Delta, ZSTD(1)),
    event_index UInt32 CODEC(Delta, ZSTD(1)),
    accepted_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    organization LowCardinality(String),
    outcome LowCardinality(String),
    kind LowCardinality(String),
    source LowCardinality(String),
    id String CODEC(ZSTD(1)),
    time DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    reason LowCardinality(String),
    detail String CODEC(ZSTD(1)),
    original_offset Nullable(UInt64) CODEC(ZSTD(1)),
    original_index Nullable(UInt32) CODEC(ZSTD(1)),
    pricing LowCardinality(String),
    unpriced_reason LowCardinality(String),
    currency LowCardinality(String),
    price_document LowCardinality(String),
    price_id LowCardinality(String),
    session String CODEC(ZSTD(1)),
    root_call String CODEC(ZSTD(1)),
    parent_call String CODEC(ZSTD(1)),
    agent LowCardinality(String),
    agent_version LowCardinality(String),
    tool LowCardinality(String),
    tool_arguments_hash String CODEC(ZSTD(1)),
    tool_result_hash String CODEC(ZSTD(1)),
    prompt_hash String CODEC(ZSTD(1)),
    attempt Nullable(UInt64) CODEC(ZSTD(1)),
    retry_of String CODEC(ZSTD(1)),
    fallback_of String CODEC(ZSTD(1)),
    fallback_reason LowCardinality(String),
    cached_from String CODEC(ZSTD(1)),
    team LowCardinality(String),
    project LowCardinality(String),
    feature LowCardinality(String),
    environment LowCardinality(String),
    user String CODEC(ZSTD(1)),
    customer LowCardinality(String),
    acting_for Array(String) CODEC(ZSTD(1)),
    tags Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    `grant` LowCardinality(String),
    admission String CODEC(ZSTD(1)),
    priority LowCardinality(String),
    queued_ms Nullable(UInt64) CODEC(ZSTD(1)),
    purpose LowCardinality(String),
    inference_class LowCardinality(String),
    payer LowCardinality(String),
    key LowCardinality(String),
    provider_account LowCardinality(String),
    ingress LowCardinality(String),
    gateway LowCardinality(String),
    provider LowCardinality(String),
    model LowCardinality(String),
    model_resolved LowCardinality(String),
    deployment LowCardinality(String),
    region LowCardinality(String),
    service_tier LowCardinality(String),
    operation LowCardinality(String),
    data_class LowCardinality(String),
    intent LowCardinality(String),
    segment LowCardinality(String),
    prompt LowCardinality(String),
    prompt_version LowCardinality(String),
    variant LowCardinality(String),
    portfolio_version LowCardinality(String),
    propensity Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    corpus_version LowCardinality(String),
    route LowCardinality(String),
    route_version LowCardinality(String),
    rollout LowCardinality(String),
    rollout_arm LowCardinality(String),
    configuration_version LowCardinality(String),
    role LowCardinality(String),
    output_mode LowCardinality(String),
    output_schema LowCardinality(String),
    output_schema_hash LowCardinality(String),
    translator_version LowCardinality(String),
    parser_version LowCardinality(String),
    conformance LowCardinality(String),
    status LowCardinality(String),
    finish_reason LowCardinality(String),
    error_origin LowCardinality(String),
    error_code LowCardinality(String),
    latency_ms Nullable(UInt64) CODEC(ZSTD(1)),
    time_to_first_token_ms Nullable(UInt64) CODEC(ZSTD(1)),
    max_tokens Nullable(UInt64) CODEC(ZSTD(1)),
    usage_source LowCardinality(String),
    claimed_cost Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    claimed_currency LowCardinality(String),
    adapter LowCardinality(String),
    adapter_version LowCardinality(String),
    PROJECTION reached (SELECT `partition`, max((`offset`, seq)) GROUP BY `partition`)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(accepted_at)
ORDER BY (organization, time, `partition`, `offset`, seq)
SETTINGS lightweight_mutation_projection_mode = 'rebuild', fsync_after_insert = 1, fsync_part_directory = 1;

-- The ledger: one row a counted inference and class. A null cost is unpriced, which is not zero.
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
    team LowCardinality(String),
    project LowCardinality(String),
    feature LowCardinality(String),
    environment LowCardinality(String),
    user String CODEC(ZSTD(1)),
    customer LowCardinality(String),
    agent LowCardinality(String),
    session String CODEC(ZSTD(1)),
    key LowCardinality(String),
    provider_account LowCardinality(String),
    payer LowCardinality(String),
    provider LowCardinality(String),
    model LowCardinality(String),
    model_resolved LowCardinality(String),
    status LowCardinality(String),
    class LowCardinality(String),
    quantity Int64 CODEC(ZSTD(1)),
    unit_price Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    list_cost Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    contracted_cost Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    effective_cost Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    billed_cost Nullable(Decimal(38, 12)) CODEC(ZSTD(1)),
    currency LowCardinality(String),
    price_document LowCardinality(String),
    price_id LowCardinality(String),
    PROJECTION reached (SELECT `partition`, max((`offset`, seq)) GROUP BY `partition`)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(accepted_at)
ORDER BY (organization, time, `partition`, `offset`, seq)
SETTINGS lightweight_mutation_projection_mode = 'rebuild', fsync_after_insert = 1, fsync_part_directory = 1;

-- Completeness: one row a record of tally.events, with what its channel refused beside it.
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
SETTINGS lightweight_mutation_projection_mode = 'rebuild', fsync_after_insert = 1, fsync_part_directory = 1;

-- Thresholds crossed and armed again; control records applied, or without effect.
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
    used Nullable(Decimal(38, 12)),
    window_end Nullable(DateTime64(6, 'UTC')),
    due_at Nullable(DateTime64(6, 'UTC')),
    event_source String,
    event_id String,
    PROJECTION reached (SELECT `partition`, max((`offset`, seq)) GROUP BY `partition`)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(accepted_at)
ORDER BY (organization, accepted_at, `partition`, `offset`, seq)
SETTINGS lightweight_mutation_projection_mode = 'rebuild', fsync_after_insert = 1, fsync_part_directory = 1;

-- Alerts and their life: a row when one is raised, and one when it is resolved.
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
    detector LowCardinality(String),
    session String,
    agent LowCardinality(String),
    team LowCardinality(String),
    tool LowCardinality(String),
    arguments_hash String,
    result_hash String,
    repeats UInt64,
    spent Map(LowCardinality(String), Decimal(38, 12)),
    since DateTime64(6, 'UTC'),
    last DateTime64(6, 'UTC'),
    due_at Nullable(DateTime64(6, 'UTC')),
    reason LowCardinality(String),
    evidence Array(Tuple(source String, id String, `partition` UInt16, `offset` UInt64, event_index UInt32)),
    PROJECTION reached (SELECT `partition`, max((`offset`, seq)) GROUP BY `partition`)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(accepted_at)
ORDER BY (organization, accepted_at, `partition`, `offset`, seq)
SETTINGS lightweight_mutation_projection_mode = 'rebuild', fsync_after_insert = 1, fsync_part_directory = 1;
