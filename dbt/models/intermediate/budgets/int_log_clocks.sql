-- Each log partition's now, the greatest time the log has given a record; and the records behind which the
-- log's clock was set back, as a broker's may be: until there was a greater one, now stood at such a time.
with

records as (

    select * from {{ ref('stg_tally__records') }}

),

followed as (

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

    from followed

    group by log_partition

)

select * from final
