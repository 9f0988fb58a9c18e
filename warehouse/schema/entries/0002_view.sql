-- The guard and the check of the month are those of events/0002_view.sql.
CREATE MATERIALIZED VIEW IF NOT EXISTS tally.entries_from_entries TO tally.entries AS
WITH (
    SELECT mapFromArrays(groupArray(log_partition), groupArray(reached))
    FROM (
        SELECT `partition` AS log_partition, max((`offset`, seq)) AS reached
        FROM tally.entries
        GROUP BY log_partition
    )
) AS reached,
(
    SELECT
        throwIf(
            uniqExact(toYYYYMM(fromUnixTimestamp64Milli(accepted_ms, 'UTC'))) > 1,
            'an insert holds one month of acceptance'
        )
    FROM tally.entries_in
) AS months_differ
SELECT
    `partition`,
    `offset`,
    seq,
    event_index,
    fromUnixTimestamp64Milli(accepted_ms, 'UTC') AS accepted_at,
    organization,
    source,
    id,
    fromUnixTimestamp64Micro(time_us, 'UTC') AS time,
    outcome,
    if(outcome IN ('reversal', 'restatement'), entries_in.original_offset, NULL) AS original_offset,
    if(outcome IN ('reversal', 'restatement'), entries_in.original_index, NULL) AS original_index,
    billing_month,
    -- begin dimension names (tools/dimensions.py)
    provider,
    provider_account,
    model,
    model_resolved,
    service_tier,
    speed,
    geography,
    region,
    context_tier,
    team,
    project,
    feature,
    agent,
    session,
    customer,
    user,
    environment,
    purpose,
    payer,
    `key`,
    status,
    -- end dimension names
    line.class AS class,
    line.quantity AS quantity,
    line.unit_price AS unit_price,
    line.list_cost AS list_cost,
    line.contracted_cost AS contracted_cost,
    line.effective_cost AS effective_cost,
    line.billed_cost AS billed_cost,
    line.greatest_cost AS greatest_cost,
    currency,
    price_document,
    price_id,
    tier_basis,
    contract_id
FROM tally.entries_in
ARRAY JOIN lines AS line
WHERE
    (`offset`, toUInt64(seq)) > reached[`partition`]
    AND NOT months_differ;
