-- One row per event with the outcome that it has now: a release counts an event that was held, quarantined
-- or in conflict, and names its position. The others need no join, which spares a large ledger most of it.
select
    {{ outcome_columns('events') }},
    events.outcome as outcome,
    toLowCardinality('') as released_from

from {{ source('tally', 'events') }} as events

where
    events.outcome not in (
        'reversal', 'replacement', 'release', 'restatement', 'held', 'quarantined', 'conflict'
    )

union all

select
    {{ outcome_columns('events') }},
    toLowCardinality(if(releases.release_reason = '', events.outcome, 'counted')) as outcome,
    releases.release_reason as released_from

from {{ source('tally', 'events') }} as events

left any join (
    select
        releases.`partition` as release_partition,
        releases.original_offset as released_offset,
        releases.original_index as released_index,
        releases.reason as release_reason

    from {{ source('tally', 'events') }} as releases

    where releases.outcome = 'release'
) as releases
    on
        events.`partition` = releases.release_partition
        and events.`offset` = releases.released_offset
        and events.event_index = releases.released_index

where events.outcome in ('held', 'quarantined', 'conflict')
