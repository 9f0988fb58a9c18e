-- The rows of int_calls_summed: those that the rollup has absorbed, and those beyond its position.
with

{{ absorbed_offsets(ref('rollup_calls')) }} as absorbed,

unioned as (

    select * except (next_offset) from {{ ref('rollup_calls') }}

    union all

    select * from {{ ref('int_calls_summed') }}

    where {{ is_beyond('absorbed') }}

)

select * from unioned
