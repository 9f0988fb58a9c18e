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
        events.log_partition as log_partition,
        events.log_offset as log_offset,
        events.event_index as event_index,
        events.accepted_at as accepted_at,
        events.occurred_at as occurred_at,
        events.organization as organization,
        events.event_source as event_source,
        events.event_id as event_id,
        events.kind as kind,
        events.reason as reason,
        events.detail as detail,
        events.first_offset as first_offset,
        events.first_index as first_index,
        events.currency as currency,
        events.unknown_tokens as unknown_tokens,
        events.greatest_unpriced_cost as greatest_unpriced_cost,
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
