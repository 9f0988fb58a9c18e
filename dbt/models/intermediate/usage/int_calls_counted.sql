-- Counted inferences, with the model that answered.
with

events as (

    select * from {{ ref('stg_tally__events') }}

),

counted as (

    select
        *,
        if(model_resolved = '', model_requested, model_resolved) as model

    from events

    where
        outcome = 'counted'
        and kind = 'inference'

)

select * from counted
