-- The rows of fct_usage, each with the team that owns it. A read: a reorganization changes no entry, and
-- moves what happened since its effective time.
with

{{ path_spans() }} as path_spans,

final as (

    select
        *,
        {{ path_columns() }}

    from {{ ref('int_usage_owned') }}

)

select * except (path_span, is_declared) from final
