-- Each call tree with its whole cost, and the team that owns its root.
with

trees as (

    select * from {{ ref('int_call_trees') }}

)

select * except (call_keys) from trees
