-- One row per event with the outcome that it has now: a release counts an event that was held, quarantined
-- or in conflict, and names its position.
with

events as (

    select * from {{ ref('stg_tally__events') }}

    where outcome not in ('reversal', 'replacement', 'release', 'restatement')

),

releases as (

    select
        log_partition,
        first_offset,
        first_index,
        reason

    from {{ ref('stg_tally__events') }}

    where outcome = 'release'

),

final as (

    select
        events.* except (outcome),
        toLowCardinality(if(releases.reason = '', events.outcome, 'counted')) as outcome,
        releases.reason as released_from

    from events

    left any join releases
        on
            events.log_partition = releases.log_partition
            and events.log_offset = releases.first_offset
            and events.event_index = releases.first_index

)

select * from final
