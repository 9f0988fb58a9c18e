-- One row per event with the outcome that it has now: a release counts an event that was held, quarantined
-- or in conflict, and names its position. The others need no join, which spares a large ledger most of it.
with

events as (

    select
        log_partition,
        log_offset,
        event_index,
        accepted_at,
        occurred_at,
        organization,
        event_source,
        event_id,
        kind,
        reason,
        detail,
        first_offset,
        first_index,
        currency,
        unknown_tokens,
        greatest_unpriced_cost,
        outcome

    from {{ ref('stg_tally__events') }}

    where outcome not in ('reversal', 'replacement', 'release', 'restatement')

),

releases as (

    select
        log_partition as release_partition,
        first_offset as released_offset,
        first_index as released_index,
        reason as release_reason

    from {{ ref('stg_tally__events') }}

    where outcome = 'release'

),

settled as (

    select
        *,
        toLowCardinality('') as released_from

    from events

    where outcome not in ('held', 'quarantined', 'conflict')

),

releasable as (

    select * from events

    where outcome in ('held', 'quarantined', 'conflict')

),

released as (

    select
        releasable.* except (outcome),
        toLowCardinality(
            if(releases.release_reason = '', releasable.outcome, 'counted')
        ) as outcome,
        releases.release_reason as released_from

    from releasable

    left any join releases
        on
            releasable.log_partition = releases.release_partition
            and releasable.log_offset = releases.released_offset
            and releasable.event_index = releases.released_index

),

unioned as (

    select * from settled

    union all

    select * from released

)

select * from unioned
