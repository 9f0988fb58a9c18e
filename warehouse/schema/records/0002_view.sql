-- The guard and the check of the month are those of events/0002_view.sql.
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
