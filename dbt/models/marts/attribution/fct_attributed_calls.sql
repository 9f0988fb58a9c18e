-- The rows of fct_calls with all that the event says beside them, and the team that owns each.
with

calls as (

    select * except (call_source, call_id) from {{ ref('int_calls_detailed') }}

),

owned as (

    {{ owned_rows('calls') }}

),

final as (

    {{ placed_rows('owned') }}

)

select * from final
