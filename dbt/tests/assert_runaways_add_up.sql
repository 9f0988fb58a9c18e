-- The figures of a resolved alert are the sums of its calls. A row here is a defect. Prompts without
-- a tool are counted by the detector alone, which knows their hashes.
with

runs as (

    select * from {{ ref('fct_runaways') }}

    where not is_open

),

calls as (

    select
        alert_id,
        sum(is_repeat) as repeats,
        sum(list_cost) as list_cost

    from {{ ref('fct_runaway_calls') }}

    group by alert_id

)

select
    runs.alert_id as alert_id,
    runs.repeats as repeats,
    runs.spent as spent,
    calls.repeats as counted_repeats,
    calls.list_cost as counted_cost

from runs

left join calls
    on runs.alert_id = calls.alert_id

where
    (runs.detector != 'repeated_prompt' and runs.repeats != calls.repeats)
    or arraySum(mapValues(runs.spent)) != coalesce(calls.list_cost, 0)
