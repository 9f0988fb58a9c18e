-- The rollup, and the rows beyond the position that it has absorbed.
with

{{ absorbed_offsets(ref('rollup_usage_hours')) }} as absorbed,

rollup as (

    select
        organization,
        charge_hour,
        {{ usage_dimensions() }},
        billing_month,
        currency,
        {{ usage_measures_of_rollup() }},
        toDateTime64(first_occurred_at, 6, 'UTC') as first_occurred_at,
        toDateTime64(last_occurred_at, 6, 'UTC') as last_occurred_at

    from {{ ref('rollup_usage_hours') }}

),

tail as (

    select
        organization,
        {{ hour_of('occurred_at') }} as charge_hour,
        {{ usage_dimensions() }},
        billing_month,
        currency,
        {{ usage_measure_names() }},
        occurred_at as first_occurred_at,
        occurred_at as last_occurred_at

    from {{ ref('int_usage_unioned') }}

    where {{ is_beyond('absorbed') }}

),

unioned as (

    select * from rollup

    union all

    select * from tail

)

select * from unioned
