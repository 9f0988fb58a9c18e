-- What a rollup has absorbed is what the rows below its positions add up to, to the last digit: as many rows,
-- with the same hashes.
with

{{ absorbed_offsets(ref('rollup_usage_hours')) }} as absorbed,

{{ absorbed_offsets(ref('rollup_calls')) }} as calls_absorbed,

{{ absorbed_offsets(ref('rollup_budget_ticks')) }} as ticks_absorbed,

absorbed_usage as (

    select
        organization,
        charge_hour,
        {{ usage_dimensions() }},
        billing_month,
        currency,
        {{ usage_measure_sums() }},
        min(first_occurred_at) as first_at,
        max(last_occurred_at) as last_at

    from {{ ref('rollup_usage_hours') }}

    group by
        organization,
        charge_hour,
        {{ usage_dimensions() }},
        billing_month,
        currency

),

usage as (

    select
        organization,
        {{ hour_of('occurred_at') }} as charge_hour,
        {{ usage_dimensions() }},
        billing_month,
        currency,
        {{ usage_measure_sums() }},
        min(occurred_at) as first_at,
        max(occurred_at) as last_at

    from {{ ref('int_usage_unioned') }}

    where not {{ is_beyond('absorbed') }}

    group by
        organization,
        charge_hour,
        {{ usage_dimensions() }},
        billing_month,
        currency

),

absorbed_calls as (

    select * except (next_offset) from {{ ref('rollup_calls') }}

),

absorbed_ticks as (

    select * except (next_offset) from {{ ref('rollup_budget_ticks') }} final

),

ticks as (

    select * except (next_offset) from ({{ budget_ticks('not ' ~ is_beyond('ticks_absorbed', 'rows')) }})

),

summed as (

    select
        'rollup_usage_hours' as rollup_name,
        (select tuple(count(), sum(sipHash64(*))) from absorbed_usage) as absorbed_rows,
        (select tuple(count(), sum(sipHash64(*))) from usage) as source_rows

    union all

    select
        'rollup_calls' as rollup_name,
        (
            select tuple(count(), sum(sipHash64(*))) from absorbed_calls
        ) as absorbed_rows,
        (
            select tuple(count(), sum(sipHash64(*)))
            from {{ ref('int_calls_summed') }}
            where not {{ is_beyond('calls_absorbed') }}
        ) as source_rows

    union all

    select
        'rollup_budget_ticks' as rollup_name,
        (select tuple(count(), sum(sipHash64(*))) from absorbed_ticks) as absorbed_rows,
        (select tuple(count(), sum(sipHash64(*))) from ticks) as source_rows

)

select * from summed

where absorbed_rows != source_rows
