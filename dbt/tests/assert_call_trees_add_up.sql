-- Trees add up to all calls, by organization; and so do the own measures of steps.
with

calls as (

    select
        organization,
        sum(calls) as calls,
        sum(tokens) as tokens,
        sum(coalesce(billed_cost, 0)) as billed_cost

    from {{ ref('fct_calls') }}

    group by organization

),

trees as (

    select
        organization,
        sum(calls) as calls,
        sum(tokens) as tokens,
        sum(coalesce(billed_cost, 0)) as billed_cost

    from {{ ref('fct_call_trees') }}

    group by organization

)

select
    calls.organization as organization,
    calls.billed_cost as billed_cost,
    trees.billed_cost as billed_cost_of_trees

from calls

left join trees on calls.organization = trees.organization

where calls.calls != trees.calls or calls.tokens != trees.tokens or calls.billed_cost != trees.billed_cost
