-- Calls by sender and hour of the event time, of every record below `next_offset` of its log partition.
{{ config(
    materialized='rollup',
    engine='AggregatingMergeTree',
    order_by='organization, dimension, scope_value, charge_hour, log_partition',
    absorbs='int_calls_sent',
    rows_per_build=400000,
) }}
-- depends_on: {{ ref('int_offsets_stored') }}
with

{{ absorbed_offsets(this) }} as absorbed,

calls as (

    select * from {{ ref('int_calls_sent') }}

    where {{ is_pending() }}

),

final as (

    {{ sender_hours('calls') }}

)

select * from final
