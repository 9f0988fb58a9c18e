-- Spend by day of the event time and what causes are told by, of every record below `next_offset` of its
-- log partition.
{{ config(
    materialized='rollup',
    engine='AggregatingMergeTree',
    order_by='organization, charge_day, ' ~ spend_dimensions() ~ ', currency, log_partition',
    absorbs='int_usage_unioned',
    rows_per_build=400000,
) }}
-- depends_on: {{ ref('int_offsets_stored') }}
-- depends_on: {{ ref('int_usage_unioned') }}
with

{{ absorbed_offsets(this) }} as absorbed,

usage as (

    {{ usage_rows('log_partition, log_offset, occurred_at, organization, ' ~ spend_dimensions()) }}

),

final as (

    select
        log_partition,
        organization,
        toDate32(occurred_at) as charge_day,
        {{ spend_dimensions() }},
        currency,
        {{ spend_day_sums() }},
        max(log_offset) + 1 as next_offset

    from usage

    where {{ is_pending() }}

    group by
        log_partition,
        organization,
        charge_day,
        {{ spend_dimensions() }},
        currency

)

select * from final
