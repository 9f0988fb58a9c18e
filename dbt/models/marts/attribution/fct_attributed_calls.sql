-- The rows of fct_calls with all that the event says beside them, and the team that owns each, with all teams
-- above it.
with

{{ path_spans() }} as path_spans,

final as (

    select
        *,
        {{ path_columns() }}

    from {{ ref('int_calls_owned') }}

)

select * except (path_span, is_declared) from final
