-- The rows of fct_attributed_usage without the teams above the owner, whose tree a query plans for itself.
with

{{ owner_spans() }} as owner_spans,

usage as (

    {{ usage_rows(
        'accepted_at, occurred_at, organization, event_source, billing_month, ' ~ entry_dimensions()
    ) }}

),

final as (

    select
        *,
        {{ owner_columns() }}

    from usage

)

select * except (owner) from final
