-- The guard and the check of the month are those of events/0002_view.sql.
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
    severity,
    detector,
    families,
    session,
    agent,
    team,
    tool,
    arguments_hash,
    result_hash,
    calls,
    repeats,
    spent,
    per_hour,
    projected,
    fromUnixTimestamp64Micro(since_us, 'UTC') AS since,
    fromUnixTimestamp64Micro(last_us, 'UTC') AS last,
    fromUnixTimestamp64Micro(due_us, 'UTC') AS due_at,
    reason,
    past,
    evidence
FROM tally.alerts_in
WHERE
    (`offset`, toUInt64(seq)) > reached[`partition`]
    AND NOT months_differ;
