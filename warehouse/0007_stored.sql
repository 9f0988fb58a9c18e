-- For each topic and log partition: the offset of tally.events from which the tables may lack something. From there
-- the sink goes on. A partition that no table knows is not listed: all of it is lacking.
--
-- Three tables are filled from tally.entries, each by itself, so a kill may leave them apart. The greatest position of
-- `records` is where all should stand, since each record has its row there. `events` is behind if it lacks the last
-- line of a record that is in `records`; `entries` is behind if it lacks the last event in `events` that has entries.
-- (The lesser of the three greatest would be right too, but a partition without inferences would be sent again whole.)

CREATE VIEW IF NOT EXISTS tally.stored AS
WITH stands AS
(
    SELECT
        `partition`,
        max(record) AS record, max(event_due) AS event_due, max(event) AS event,
        max(entry_due) AS entry_due, max(entry) AS entry
    FROM
    (
        SELECT
            `partition`, max((`offset`, seq)) AS record, maxIf((`offset`, seq), seq > 1) AS event_due,
            (0, 0) AS event, (0, 0) AS entry_due, (0, 0) AS entry
        FROM tally.records GROUP BY `partition`
        UNION ALL
        SELECT
            `partition`, (0, 0), (0, 0),
            max((`offset`, seq)), maxIf((`offset`, seq), entry_lines > 0), (0, 0)
        FROM tally.events GROUP BY `partition`
        UNION ALL
        SELECT `partition`, (0, 0), (0, 0), (0, 0), (0, 0), max((`offset`, seq))
        FROM tally.entries GROUP BY `partition`
    )
    GROUP BY `partition`
)
SELECT
    'tally.entries' AS topic,
    `partition`,
    if(record.2 = 0, 0, record.1 + 1) AS after_records,
    least(
        after_records,
        if(event < (event_due.1, event_due.2 - 1), event.1, after_records),
        if(entry < entry_due, entry.1, after_records)
    ) AS next_offset
FROM stands
