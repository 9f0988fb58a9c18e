-- The rows of int_calls_summed: those that the rollup has absorbed, and those beyond its position.
select * except (next_offset) from {{ ref('rollup_calls') }}

union all

select * from {{ ref('int_calls_beyond') }}
