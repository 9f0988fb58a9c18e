-- Counted inferences alone, by the model that answered.
with

events as (

    select * from {{ ref('stg_tally__events') }}

),

counted as (

    select
        *,
        if(model_resolved = '', model, model_resolved) as model_answered

    from events

    where
        outcome = 'counted'
        and kind = 'inference'

)

select * from counted
