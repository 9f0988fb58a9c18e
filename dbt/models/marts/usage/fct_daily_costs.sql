with

usage as (

    select
        *,
        toDate(occurred_at, 'UTC') as charge_day

    from {{ ref('fct_usage') }}

),

summed as (

    select
        charge_day,
        organization,
        {{ usage_dimensions() }},
        class,
        currency,
        sum(quantity) as quantity,
        sum(unpriced_quantity) as unpriced_quantity,
        {{ usage_measure_sums() }}

    from usage

    group by
        charge_day,
        organization,
        {{ usage_dimensions() }},
        class,
        currency

),

final as (

    select
        lower(hex(sipHash128(
            charge_day, organization, {{ usage_dimensions() }}, class, currency
        ))) as daily_cost_key,
        *

    from summed

)

select * from final
