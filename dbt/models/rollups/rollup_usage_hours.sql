-- Usage by hour of the event time, of every record below `next_offset` of its log partition.
{{ config(
    materialized='rollup',
    engine='AggregatingMergeTree',
    order_by='organization, charge_hour, ' ~ usage_dimensions() ~ ', billing_month, currency, log_partition',
    absorbs='int_usage_unioned',
    rows_per_build=400000,
) }}
-- depends_on: {{ ref('int_offsets_stored') }}
with

{{ absorbed_offsets(this) }} as absorbed,

usage as (

    select
        *,
        {{ hour_of('occurred_at') }} as charge_hour

    from {{ ref('int_usage_unioned') }}

    where {{ is_pending() }}

),

final as (

    select
        log_partition,
        organization,
        charge_hour,
        {{ usage_dimensions() }},
        billing_month,
        currency,
        {{ usage_measure_sums() }},
        min(occurred_at) as first_occurred_at,
        max(occurred_at) as last_occurred_at,
        max(log_offset) + 1 as next_offset

    from usage

    group by
        log_partition,
        organization,
        charge_hour,
        {{ usage_dimensions() }},
        billing_month,
        currency

)

select * from final
