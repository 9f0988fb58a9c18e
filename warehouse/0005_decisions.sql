-- What the folds decided: thresholds crossed and re-armed, control records applied or without effect.

CREATE TABLE IF NOT EXISTS tally.decisions
ENGINE = MergeTree
PARTITION BY toYYYYMM(accepted_at)
ORDER BY (organization, accepted_at, `partition`, `offset`, seq)
SETTINGS default_compression_codec = 'ZSTD(1)', lightweight_mutation_projection_mode = 'rebuild'
EMPTY AS SELECT * EXCEPT (accepted_ms, due_us, window_end_us) FROM tally.decisions_in;

ALTER TABLE tally.decisions
    ADD PROJECTION IF NOT EXISTS positions (SELECT `partition`, max((`offset`, seq)) GROUP BY `partition`);

CREATE MATERIALIZED VIEW IF NOT EXISTS tally.decisions_from_log TO tally.decisions AS
WITH
    (
        SELECT mapFromArrays(groupArray(`partition`), groupArray(position))
        FROM (SELECT `partition`, max((`offset`, seq)) AS position FROM tally.decisions GROUP BY `partition`)
    ) AS floors,
    (
        SELECT throwIf(uniqExact(toYYYYMM(accepted_at)) > 1, 'one insert holds one month of acceptance')
        FROM tally.decisions_in
    ) AS months_are_mixed
SELECT * EXCEPT (accepted_ms, due_us, window_end_us)
FROM tally.decisions_in
WHERE (`offset`, seq) > floors[`partition`] AND NOT months_are_mixed;
