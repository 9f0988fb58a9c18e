-- The rows of fct_usage, each with the team that owns it. A read: a reorganization changes no entry, and
-- moves what happened since its effective time.
with

owned as (

    select * from {{ ref('int_usage_owned') }}

),

final as (

    {{ placed_rows('owned') }}

)

select * from final
