-- From what the sink inserts to the tables. A position is (offset, seq) on tally.events, for each log partition.
-- An insert is one part of a table, whole or not at all, only within one month; so an insert of two is refused.
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
    pricing,
    unpriced_reason,
    currency,
    price_document,
    price_id,
    session,
    root_call,
    parent_call,
    agent,
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
    team,
    project,
    feature,
    environment,
    user,
    customer,
    acting_for,
    tags,
    `grant`,
    admission,
    priority,
    queued_ms,
    purpose,
    inference_class,
    payer,
    key,
    provider_account,
    ingress,
    gateway,
    provider,
    model,
    model_resolved,
    deployment,
    region,
    service_tier,
    operation,
    data_class,
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
    status,
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
    adapter_version
FROM tally.entries_in
WHERE
    outcome != 'record'
    AND (`offset`, toUInt64(seq)) > reached[`partition`]
    AND NOT months_differ;

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
    team,
    project,
    feature,
    environment,
    user,
    customer,
    agent,
    session,
    key,
    provider_account,
    payer,
    provider,
    model,
    model_resolved,
    status,
    line.class AS class,
    line.quantity AS quantity,
    line.unit_price AS unit_price,
    line.list_cost AS list_cost,
    line.contracted_cost AS contracted_cost,
    line.effective_cost AS effective_cost,
    line.billed_cost AS billed_cost,
    currency,
    price_document,
    price_id
FROM tally.entries_in
ARRAY JOIN lines AS line
WHERE
    (`offset`, toUInt64(seq)) > reached[`partition`]
    AND NOT months_differ;

CREATE MATERIALIZED VIEW IF NOT EXISTS tally.records_from_entries TO tally.records AS
WITH (
    SELECT mapFromArrays(groupArray(log_partition), groupArray(reached))
    FROM (
        SELECT `partition` AS log_partition, max((`offset`, seq)) AS reached
        FROM tally.records
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
    fromUnixTimestamp64Milli(accepted_ms, 'UTC') AS accepted_at,
    organization,
    channel,
    received,
    refused
FROM tally.entries_in
WHERE
    outcome = 'record'
    AND (`offset`, toUInt64(seq)) > reached[`partition`]
    AND NOT months_differ;

CREATE MATERIALIZED VIEW IF NOT EXISTS tally.decisions_from_decisions TO tally.decisions AS
WITH (
    SELECT mapFromArrays(groupArray(log_partition), groupArray(reached))
    FROM (
        SELECT `partition` AS log_partition, max((`offset`, seq)) AS reached
        FROM tally.decisions
        GROUP BY log_partition
    )
) AS reached,
(
    SELECT
        throwIf(
            uniqExact(toYYYYMM(fromUnixTimestamp64Milli(accepted_ms, 'UTC'))) > 1,
            'an insert holds one month of acceptance'
        )
    FROM tally.decisions_in
) AS months_differ
SELECT
    `partition`,
    `offset`,
    seq,
    event_index,
    fromUnixTimestamp64Milli(accepted_ms, 'UTC') AS accepted_at,
    organization,
    decision,
    control_type,
    reason,
    dimension,
    scope,
    window_s,
    limit,
    currency,
    threshold,
    used,
    fromUnixTimestamp64Micro(window_end_us, 'UTC') AS window_end,
    fromUnixTimestamp64Micro(due_us, 'UTC') AS due_at,
    event_source,
    event_id
FROM tally.decisions_in
WHERE
    (`offset`, toUInt64(seq)) > reached[`partition`]
    AND NOT months_differ;

CREATE MATERIALIZED VIEW IF NOT EXISTS tally.alerts_from_alerts TO tally.alerts AS
WITH (
    SELECT mapFromArrays(groupArray(log_partition), groupArray(reached))
    FROM (
        SELECT `partition` AS log_partition, max((`offset`, seq)) AS reached
        FROM tally.alerts
        GROUP BY log_partition
    )
) AS reached,
(
    SELECT
        throwIf(
            uniqExact(toYYYYMM(fromUnixTimestamp64Milli(accepted_ms, 'UTC'))) > 1,
            'an insert holds one month of acceptance'
        )
    FROM tally.alerts_in
) AS months_differ
SELECT
    `partition`,
    `offset`,
    seq,
    event_index,
    fromUnixTimestamp64Milli(accepted_ms, 'UTC') AS accepted_at,
    organization,
    alert,
    state,
    detector,
    session,
    agent,
    team,
    tool,
    arguments_hash,
    result_hash,
    repeats,
    spent,
    fromUnixTimestamp64Micro(since_us, 'UTC') AS since,
    fromUnixTimestamp64Micro(last_us, 'UTC') AS last,
    fromUnixTimestamp64Micro(due_us, 'UTC') AS due_at,
    reason,
    evidence
FROM tally.alerts_in
WHERE
    (`offset`, toUInt64(seq)) > reached[`partition`]
    AND NOT months_differ;
