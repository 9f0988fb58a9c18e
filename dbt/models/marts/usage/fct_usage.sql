-- One row per call and one per entry, in one shape, so that sums over any dimension need no join.
with

entries as (

    select
        accepted_at,
        occurred_at,
        organization,
        {{ usage_dimensions() }},
        currency,
        class,
        quantity,
        tokens,
        unpriced_quantity,
        unpriced_tokens,
        list_cost,
        contracted_cost,
        effective_cost,
        billed_cost,
        0 as calls

    from {{ ref('int_entries_measured') }}

),

calls as (

    select
        accepted_at,
        occurred_at,
        organization,
        {{ usage_dimensions() }},
        currency,
        toLowCardinality('call') as class,
        sign as quantity,
        0 as tokens,
        0 as unpriced_quantity,
        0 as unpriced_tokens,
        null as list_cost,
        null as contracted_cost,
        null as effective_cost,
        null as billed_cost,
        sign as calls

    from {{ ref('int_calls_counted') }}

),

unioned as (

    select * from entries

    union all

    select * from calls

)

select * from unioned
