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
        sum(tokens) as tokens,
        sum(unpriced_quantity) as unpriced_quantity,
        sum(unpriced_tokens) as unpriced_tokens,
        sum(list_cost) as list_cost,
        sum(contracted_cost) as contracted_cost,
        sum(effective_cost) as effective_cost,
        sum(billed_cost) as billed_cost,
        sum(calls) as calls,
        sum(unknown_calls) as unknown_calls,
        sum(unpriced_calls) as unpriced_calls,
        sum(quarantined_calls) as quarantined_calls,
        sum(unbounded_calls) as unbounded_calls,
        sum(unknown_tokens) as unknown_tokens,
        sum(greatest_unpriced_cost) as greatest_unpriced_cost,
        sum(saved_cost) as saved_cost

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
