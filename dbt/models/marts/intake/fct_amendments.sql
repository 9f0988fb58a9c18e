with

events as (

    select * from {{ ref('stg_tally__events') }}

),

final as (

    select
        concat(toString(log_partition), '-', toString(log_offset), '-', toString(seq)) as amendment_key,
        log_partition,
        log_offset,
        seq,
        event_index,
        accepted_at,
        occurred_at,
        organization,
        event_source,
        event_id,
        kind,
        outcome as amendment,
        reason,
        first_offset,
        first_index

    from events

    where outcome in ('reversal', 'replacement', 'release', 'restatement')

)

select * from final
