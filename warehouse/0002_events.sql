-- One row for each line of each record: what became of an event, and what a counted inference said of itself.
-- A line that is no event has no time of its own: it stands at the time it was accepted.
--
-- The view admits only positions above the table's greatest of the log partition. So an insert that is repeated,
-- or late, adds nothing, as long as inserts come one at a time and each holds a contiguous run of whole records of
-- one month (then it is one part, which stands whole or not at all). The projection makes that greatest position cheap.

CREATE TABLE IF NOT EXISTS tally.events
ENGINE = MergeTree
PARTITION BY toYYYYMM(accepted_at)
ORDER BY (organization, `time`, `partition`, `offset`, seq)
SETTINGS default_compression_codec = 'ZSTD(1)', lightweight_mutation_projection_mode = 'rebuild'
EMPTY AS SELECT
    * EXCEPT (accepted_ms, time_us, received, refused, door, lines),
    toUInt8(0) AS entry_lines -- how many rows of tally.entries it has
FROM tally.entries_in;

ALTER TABLE tally.events
    MODIFY COLUMN `offset` CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN seq CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN `index` CODEC(Delta, ZSTD(1)),
    MODIFY COLUMN accepted_at CODEC(DoubleDelta, ZSTD(1)),
    MODIFY COLUMN `time` CODEC(DoubleDelta, ZSTD(1)),
    ADD INDEX IF NOT EXISTS by_id id TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS by_session session TYPE bloom_filter(0.01) GRANULARITY 1,
    ADD INDEX IF NOT EXISTS by_offset `offset` TYPE minmax GRANULARITY 1,
    ADD PROJECTION IF NOT EXISTS positions
    (
        SELECT `partition`, max((`offset`, seq)), maxIf((`offset`, seq), entry_lines > 0) GROUP BY `partition`
    );

CREATE MATERIALIZED VIEW IF NOT EXISTS tally.events_from_log TO tally.events AS
WITH
    (
        SELECT mapFromArrays(groupArray(`partition`), groupArray(position))
        FROM (SELECT `partition`, max((`offset`, seq)) AS position FROM tally.events GROUP BY `partition`)
    ) AS floors,
    (
        SELECT throwIf(uniqExact(toYYYYMM(accepted_at)) > 1, 'one insert holds one month of acceptance')
        FROM tally.entries_in
    ) AS months_are_mixed
SELECT
    * EXCEPT (accepted_ms, time_us, received, refused, door, lines),
    toUInt8(length(lines)) AS entry_lines
FROM tally.entries_in
WHERE outcome != 'record' AND (`offset`, seq) > floors[`partition`] AND NOT months_are_mixed;
