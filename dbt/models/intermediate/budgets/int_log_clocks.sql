-- The present time of each log partition: the greatest time that the log has given a record. set_back_after
-- lists the records after which the log's clock was set back, as a broker's may be. The present time stood at
-- theirs until a record had a greater one.
with

records as (

    select * from {{ ref('stg_tally__records') }}

),

ordered_records as (

    select
        *,
        leadInFrame(accepted_at, 1, accepted_at) over (
            partition by log_partition
            order by log_offset
            rows between current row and 1 following
        ) as next_accepted_at

    from records

),

final as (

    select
        log_partition,
        max(accepted_at) as now_at,
        groupArrayIf((log_offset, accepted_at), next_accepted_at < accepted_at) as set_back_after

    from ordered_records

    group by log_partition

)

select * from final
