-- The figures of a resolved alert are the sums of its calls. A row here is a defect.
with

runs as (

    select * from {{ ref('fct_runaways') }}

    where not is_open

),

calls as (

    select
        alert_id,
        count() as calls,
        sum(list_cost) as list_cost

    from {{ ref('fct_runaway_calls') }}

    group by alert_id

)

select
    runs.alert_id as alert_id,
    runs.calls as told_calls,
    runs.spent as spent,
    calls.calls as counted_calls,
    calls.list_cost as counted_cost

from runs

left join calls
    on runs.alert_id = calls.alert_id

where
    runs.calls != coalesce(calls.calls, 0)
    or arraySum(mapValues(runs.spent)) != coalesce(calls.list_cost, 0)
