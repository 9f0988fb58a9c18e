-- Spend by scope and tick of the event time, of every record below `next_offset` of its log partition. The
-- positions of the calls in a row tell which budgets count all of them: those that were allocated before.
{{ config(
    materialized='rollup',
    engine='AggregatingMergeTree',
    order_by='organization, dimension, scope_value, tick, currency, log_partition',
    absorbs='int_budget_spends',
    rows_per_build=400000,
) }}
-- depends_on: {{ ref('int_offsets_stored') }}
-- depends_on: {{ ref('int_budget_spends') }}
with

{{ absorbed_offsets(this) }} as absorbed,

final as (

    {{ budget_ticks(is_pending()) }}

)

select * from final
