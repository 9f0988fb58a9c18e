-- Calls and refusals by provider, model and minute of the event time, of every record below `next_offset`.
{{ config(
    materialized='rollup',
    engine='AggregatingMergeTree',
    order_by='organization, provider, model, charge_minute, log_partition',
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

    select
        log_partition,
        organization,
        provider,
        model,
        {{ minute_of('occurred_at') }} as charge_minute,
        sum(calls) as calls,
        sum(refused_calls) as refused_calls,
        sum(retries) as retries,
        max(log_offset) + 1 as next_offset

    from calls

    group by
        log_partition,
        organization,
        provider,
        model,
        charge_minute

)

select * from final
