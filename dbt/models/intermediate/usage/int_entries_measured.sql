-- Entries with the measures that may be summed: tokens apart from other quantities, and unpriced quantities.
with

entries as (

    select * from {{ ref('stg_tally__entries') }}

),

measured as (

    select
        *,
        if(model_resolved = '', model_requested, model_resolved) as model,
        if(
            class in ('requests', 'web_searches', 'seconds', 'images', 'characters', 'pages', 'search_units'),
            0,
            quantity
        ) as tokens,
        if(contracted_cost is null, quantity, 0) as unpriced_quantity,
        if(unpriced_quantity = 0, 0, tokens) as unpriced_tokens

    from entries

)

select * from measured
