-- The guard: a line is admitted only above the table's greatest position, (offset, seq), of its log partition. So an
-- insert that is repeated, or comes late, adds nothing.
-- ClickHouse makes one part of an insert within one month of acceptance, and stores that part whole or not at all. An
-- insert of two months is refused.
CREATE MATERIALIZED VIEW IF NOT EXISTS tally.events_from_entries TO tally.events AS
WITH (
    SELECT mapFromArrays(groupArray(log_partition), groupArray(reached))
    FROM (
        SELECT `partition` AS log_partition, max((`offset`, seq)) AS reached
        FROM tally.events
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
    outcome,
    kind,
    source,
    id,
    fromUnixTimestamp64Micro(time_us, 'UTC') AS time,
    reason,
    detail,
    original_offset,
    original_index,
    billing_month,
    observation,
    -- begin call names (tools/dimensions.py)
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
    root_call,
    parent_call,
    agent_version,
    tool,
    tool_arguments_hash,
    tool_result_hash,
    prompt_hash,
    attempt,
    retry_of,
    fallback_of,
    fallback_reason,
    cached_from,
    acting_for,
    tags,
    `grant`,
    admission,
    priority,
    queued_ms,
    inference_class,
    ingress,
    gateway,
    deployment,
    operation,
    data_class,
    response_cache,
    intent,
    segment,
    prompt,
    prompt_version,
    variant,
    portfolio_version,
    propensity,
    corpus_version,
    route,
    route_version,
    rollout,
    rollout_arm,
    configuration_version,
    role,
    output_mode,
    output_schema,
    output_schema_hash,
    translator_version,
    parser_version,
    conformance,
    finish_reason,
    error_origin,
    error_code,
    latency_ms,
    time_to_first_token_ms,
    max_tokens,
    usage_source,
    claimed_cost,
    claimed_currency,
    adapter,
    adapter_version,
    revision,
    calls,
    period_s,
    left_out,
    -- end call names
    pricing,
    unpriced_reason,
    currency,
    price_document,
    price_id,
    tier_basis,
    greatest_unpriced_cost,
    unknown_tokens,
    saved_cost
FROM tally.entries_in
WHERE
    outcome != 'record'
    AND (`offset`, toUInt64(seq)) > reached[`partition`]
    AND NOT months_differ;
