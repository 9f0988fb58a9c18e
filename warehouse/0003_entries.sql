-- The ledger: one row for each class of tokens, or of other quantities, of each counted inference; with the event's
-- main dimensions, so that spend by team, model or feature reads this table alone. Costs are NULL where unpriced.

CREATE TABLE IF NOT EXISTS tally.entries
(
    `partition` UInt16,
    `offset` UInt64 CODEC(Delta, ZSTD(1)),
    seq UInt32 CODEC(Delta, ZSTD(1)),
    `index` UInt32 CODEC(Delta, ZSTD(1)),
    accepted_at DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    organization LowCardinality(String),
    `time` DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    source LowCardinality(String),
    id String,
    session Nullable(String),
    agent LowCardinality(Nullable(String)),
    tool LowCardinality(Nullable(String)),
    team LowCardinality(Nullable(String)),
    project LowCardinality(Nullable(String)),
    feature LowCardinality(Nullable(String)),
    environment LowCardinality(Nullable(String)),
    `user` LowCardinality(Nullable(String)),
    customer LowCardinality(Nullable(String)),
    payer LowCardinality(Nullable(String)),
    `key` LowCardinality(Nullable(String)),
    provider_account LowCardinality(Nullable(String)),
    provider LowCardinality(Nullable(String)),
    model LowCardinality(Nullable(String)),
    model_resolved LowCardinality(Nullable(String)),
    deployment LowCardinality(Nullable(String)),
    region LowCardinality(Nullable(String)),
    service_tier LowCardinality(Nullable(String)),
    operation LowCardinality(Nullable(String)),
    purpose LowCardinality(Nullable(String)),
    intent LowCardinality(Nullable(String)),
    prompt LowCardinality(Nullable(String)),
    prompt_version LowCardinality(Nullable(String)),
    variant LowCardinality(Nullable(String)),
    route LowCardinality(Nullable(String)),
    rollout_arm LowCardinality(Nullable(String)),
    status LowCardinality(Nullable(String)),
    class LowCardinality(String),
    quantity UInt64,
    unit_price Nullable(Decimal(38, 12)),
    list_cost Nullable(Decimal(38, 12)),
    contracted_cost Nullable(Decimal(38, 12)),
    effective_cost Nullable(Decimal(38, 12)),
    billed_cost Nullable(Decimal(38, 12)),
    currency LowCardinality(Nullable(String)),
    price_document LowCardinality(Nullable(String)),
    price_id LowCardinality(Nullable(String)),
    INDEX by_id id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_offset `offset` TYPE minmax GRANULARITY 1,
    PROJECTION positions (SELECT `partition`, max((`offset`, seq)) GROUP BY `partition`)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(accepted_at)
ORDER BY (organization, `time`, `partition`, `offset`, seq, class)
SETTINGS default_compression_codec = 'ZSTD(1)', lightweight_mutation_projection_mode = 'rebuild';

CREATE MATERIALIZED VIEW IF NOT EXISTS tally.entries_from_log TO tally.entries AS
WITH
    (
        SELECT mapFromArrays(groupArray(`partition`), groupArray(position))
        FROM (SELECT `partition`, max((`offset`, seq)) AS position FROM tally.entries GROUP BY `partition`)
    ) AS floors,
    (
        SELECT throwIf(uniqExact(toYYYYMM(accepted_at)) > 1, 'one insert holds one month of acceptance')
        FROM tally.entries_in
    ) AS months_are_mixed
SELECT
    `partition`, `offset`, seq, `index`, accepted_at, organization, `time`,
    assumeNotNull(source) AS source, assumeNotNull(id) AS id,
    session, agent, tool, team, project, feature, environment, `user`, customer, payer, `key`, provider_account,
    provider, model, model_resolved, deployment, region, service_tier, operation, purpose, intent, prompt,
    prompt_version, variant, route, rollout_arm, status,
    line.class AS class, line.quantity AS quantity, line.unit_price AS unit_price,
    line.list_cost AS list_cost, line.contracted_cost AS contracted_cost,
    line.effective_cost AS effective_cost, line.billed_cost AS billed_cost,
    currency, price_document, price_id
FROM tally.entries_in
ARRAY JOIN lines AS line
WHERE (`offset`, seq) > floors[`partition`] AND NOT months_are_mixed;
