-- The offset of each log partition below which every table has all its rows. An insert fills events, entries
-- and records one after the other, so after a kill one may end earlier than another, until the sink has sent
-- the insert again. A table may also end earlier because the last records have no row for it: so each is
-- compared with what the one before it requires, as in warehouse/sink.py.
with

(
    select mapFromArrays(groupArray(stored_partition), groupArray(stored_offset))
    from (
        select
            log_partition as stored_partition,
            tupleElement(max((log_offset, seq)), 1) + 1 as stored_offset
        from {{ ref('stg_tally__events') }}
        group by stored_partition
    )
) as events_stored,

(
    select mapFromArrays(groupArray(stored_partition), groupArray(stored_offset))
    from (
        select
            log_partition as stored_partition,
            tupleElement(max((log_offset, seq)), 1) + 1 as stored_offset
        from {{ ref('stg_tally__entries') }}
        group by stored_partition
    )
) as entries_stored,

(
    select groupUniqArray(log_partition)
    from {{ ref('stg_tally__records') }}
    where seq > 1 and {{ is_beyond('events_stored') }}
) as without_events,

(
    select groupUniqArray(log_partition)
    from {{ ref('stg_tally__events') }}
    where
        pricing in ('priced', 'partially_priced', 'unpriced')
        and {{ is_beyond('entries_stored') }}
) as without_entries,

records as (

    select
        log_partition,
        tupleElement(max((log_offset, seq)), 1) + 1 as next_offset

    from {{ ref('stg_tally__records') }}

    group by log_partition

),

final as (

    select
        log_partition,
        least(
            next_offset,
            if(has(without_events, log_partition), events_stored[log_partition], next_offset),
            if(has(without_entries, log_partition), entries_stored[log_partition], next_offset)
        ) as next_offset

    from records

)

select * from final
