-- The rollup of call steps holds each absorbed call once, and trees and steps add up to these calls.
with

{{ absorbed_offsets(ref('rollup_call_steps')) }} as absorbed,

calls as (

    select
        organization,
        count() as call_count,
        sum(calls) as calls,
        sum(tokens) as tokens,
        sum(coalesce(billed_cost, 0)) as billed_cost

    from {{ ref('rollup_call_steps') }} final

    group by organization

),

absorbed_calls as (

    select
        organization,
        count() as call_count

    from {{ ref('rollup_calls') }}

    where not is_amendment and not {{ is_beyond('absorbed') }}

    group by organization

),

steps as (

    select
        organization,
        sum(calls) as calls,
        sum(tokens) as tokens,
        sum(coalesce(billed_cost, 0)) as billed_cost

    from {{ ref('fct_call_steps') }}

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
    absorbed_calls.organization as organization,
    absorbed_calls.call_count as absorbed_rows,
    calls.call_count as stored_rows,
    calls.billed_cost as billed_cost,
    steps.billed_cost as billed_cost_of_steps,
    trees.billed_cost as billed_cost_of_trees

from absorbed_calls

left join calls on absorbed_calls.organization = calls.organization

left join steps on absorbed_calls.organization = steps.organization

left join trees on absorbed_calls.organization = trees.organization

where
    absorbed_calls.call_count != calls.call_count
    or (calls.calls, calls.tokens, calls.billed_cost) != (steps.calls, steps.tokens, steps.billed_cost)
    or (calls.calls, calls.tokens, calls.billed_cost) != (trees.calls, trees.tokens, trees.billed_cost)
