-- The rollup, and the rows beyond the position that it has absorbed.
with

{{ absorbed_offsets(ref('rollup_usage_hours')) }} as absorbed,

unioned as (

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

    union all

    select
        organization,
        {{ hour_of('occurred_at') }} as charge_hour,
        {{ usage_dimensions() }},
        toLowCardinality(billing_month) as billing_month,
        currency,
        {{ usage_measure_names() }},
        occurred_at as first_occurred_at,
        occurred_at as last_occurred_at

    from ({{ usage_rows('occurred_at, organization, billing_month, ' ~ usage_dimensions(), 'absorbed') }})

)

select * from unioned
