-- Spend by day and what causes are told by: the rollup, and the rows beyond the position that it has
-- absorbed.
with

{{ absorbed_offsets(ref('rollup_spend_days')) }} as absorbed,

unioned as (

    select
        organization,
        charge_day,
        {{ spend_dimensions() }},
        currency,
        billed_cost::Decimal(38, 12) as billed_cost,
        list_cost::Decimal(38, 12) as list_cost,
        calls::Int64 as calls,
        tokens::Int64 as tokens

    from {{ ref('rollup_spend_days') }}

    union all

    select
        organization,
        toDate32(occurred_at) as charge_day,
        {{ spend_dimensions() }},
        currency,
        coalesce(billed_cost, 0)::Decimal(38, 12) as billed_cost,
        coalesce(list_cost, 0)::Decimal(38, 12) as list_cost,
        calls,
        tokens

    from ({{ usage_rows('occurred_at, organization, ' ~ spend_dimensions(), 'absorbed') }})

)

select * from unioned

where currency != ''
