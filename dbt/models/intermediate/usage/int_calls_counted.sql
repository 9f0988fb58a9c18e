-- Counted inferences, with the model that answered, and what takes their place or takes them back: a call
-- that is reversed stands here twice, with opposite signs.
with

calls as (

    select * from {{ ref('int_calls_measured') }}

),

counted as (

    select * from calls

    where
        outcome in ('counted', 'replacement', 'release')
        or (outcome in ('reversal', 'restatement') and unpriced_reason != 'quarantined')

)

select * from counted
