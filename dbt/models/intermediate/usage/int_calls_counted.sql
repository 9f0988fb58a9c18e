-- Counted inferences, with the model that answered.
with

calls as (

    select * from {{ ref('int_calls_measured') }}

),

counted as (

    select * from calls

    where outcome = 'counted'

)

select * from counted
