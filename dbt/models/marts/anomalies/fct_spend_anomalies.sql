-- Consecutive days of the same direction are one anomaly.
with

days as (

    select
        *,
        max(charge_day) over series as last_day,
        lagInFrame(direction, 1, '') over series_days as direction_before

    from {{ ref('fct_spend_days') }}

    where is_whole

    window
        series as (partition by organization, dimension, scope_value, currency),
        series_days as (
            partition by organization, dimension, scope_value, currency
            order by charge_day
            rows between 1 preceding and current row
        )

),

numbered as (

    select
        *,
        sum(direction != direction_before) over (
            partition by organization, dimension, scope_value, currency
            order by charge_day
        ) as run

    from days

),

final as (

    select
        organization,
        dimension,
        scope_value,
        currency,
        direction,
        min(charge_day) as began_day,
        max(charge_day) as ended_day,
        concat(
            'spend-',
            lower(hex(sipHash64(organization, dimension, scope_value, currency, direction, began_day)))
        ) as anomaly_id,
        sum(billed_cost)::Decimal(38, 12) as cost,
        sum(assumeNotNull(expected_cost))::Decimal(38, 12) as expected_cost,
        (cost - expected_cost)::Decimal(38, 12) as excess,
        toDateTime64(began_day, 0, 'UTC') as began_at,
        toDateTime64(addDays(began_day, 1), 0, 'UTC') as detected_at,
        if(ended_day < max(last_day), toDateTime64(addDays(ended_day, 2), 0, 'UTC'), null) as resolved_at

    from numbered

    where direction != ''

    group by
        organization,
        dimension,
        scope_value,
        currency,
        direction,
        run

)

select * from final
