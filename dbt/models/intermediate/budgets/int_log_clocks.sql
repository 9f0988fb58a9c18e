-- The present time of each log partition: the greatest time that the log has given a record.
with

records as (

    select * from {{ ref('stg_tally__records') }}

),

final as (

    select
        log_partition,
        max(accepted_at) as now_at,
        addMicroseconds(toDateTime64(now_at, 6, 'UTC'), 999) as now_ends_at

    from records

    group by log_partition

)

select * from final
