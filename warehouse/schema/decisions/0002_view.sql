-- The guard and the check of the month are those of events/0002_view.sql.
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
    thresholds,
    past,
    used,
    unknown_usage,
    assumed,
    unknown_calls,
    unknown_tokens,
    unbounded_calls,
    fromUnixTimestamp64Micro(window_end_us, 'UTC') AS window_end,
    fromUnixTimestamp64Micro(due_us, 'UTC') AS due_at,
    event_source,
    event_id,
    fromUnixTimestamp64Micro(effective_us, 'UTC') AS effective_at,
    fromUnixTimestamp64Micro(known_us, 'UTC') AS known_at,
    body
FROM tally.decisions_in
WHERE
    (`offset`, toUInt64(seq)) > reached[`partition`]
    AND NOT months_differ;
