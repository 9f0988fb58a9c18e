-- Each call tree with its whole cost, and the team that owns its root.
with

{{ owner_spans() }} as owner_spans,

final as (

    select
        *,
        {{ owner_columns() }}

    from {{ ref('int_call_trees') }}

)

select * except (owner) from final
