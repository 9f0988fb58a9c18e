-- One row per call and one per entry, in one shape, so that sums over any dimension need no join.
with

usage as (

    select * except (log_partition, log_offset, billing_month)

    from {{ ref('int_usage_unioned') }}

)

select * from usage
