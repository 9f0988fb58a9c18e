-- Counted inferences, with the model that answered, and what takes their place or takes them back: a call
-- that is reversed stands here twice, with opposite signs.
with

events as (

    select * from {{ ref('stg_tally__events') }}

),

counted as (

    select
        *,
        if(model_resolved = '', model_requested, model_resolved) as model,
        toInt64(if(outcome = 'reversal', -1, 1)) as sign

    from events

    where
        outcome in ('counted', 'reversal', 'replacement')
        and kind = 'inference'

)

select * from counted
