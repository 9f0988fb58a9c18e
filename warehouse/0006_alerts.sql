-- Alerts and their life: a row each time one is raised or resolved.

CREATE TABLE IF NOT EXISTS tally.alerts
ENGINE = MergeTree
PARTITION BY toYYYYMM(accepted_at)
ORDER BY (organization, accepted_at, `partition`, `offset`, seq)
SETTINGS default_compression_codec = 'ZSTD(1)', lightweight_mutation_projection_mode = 'rebuild'
EMPTY AS SELECT * EXCEPT (accepted_ms, due_us, since_us, last_us) FROM tally.alerts_in;

ALTER TABLE tally.alerts
    ADD PROJECTION IF NOT EXISTS positions (SELECT `partition`, max((`offset`, seq)) GROUP BY `partition`);

CREATE MATERIALIZED VIEW IF NOT EXISTS tally.alerts_from_log TO tally.alerts AS
WITH
    (
        SELECT mapFromArrays(groupArray(`partition`), groupArray(position))
        FROM (SELECT `partition`, max((`offset`, seq)) AS position FROM tally.alerts GROUP BY `partition`)
    ) AS floors,
    (
        SELECT throwIf(uniqExact(toYYYYMM(accepted_at)) > 1, 'one insert holds one month of acceptance')
        FROM tally.alerts_in
    ) AS months_are_mixed
SELECT * EXCEPT (accepted_ms, due_us, since_us, last_us)
FROM tally.alerts_in
WHERE (`offset`, seq) > floors[`partition`] AND NOT months_are_mixed;
