-- The rows of fct_usage, with the properties of the call by which an owner is found.
with

usage as (

    {{ usage_rows(
        'accepted_at, occurred_at, organization, event_source, billing_month, ' ~ entry_dimensions()
    ) }}

),

assignments as (

    select * from {{ ref('dim_assignments') }}

    where known_to_offset is null

),

joined as (

    {{ join_owners('usage', 'assignments') }}

),

attributed as (

    select
        *,
        toLowCardinality(
            multiIf(team != '', 'event', {{ attribution_branches() }} 'unowned')
        ) as attributed_by,
        multiIf(attributed_by = 'event', toString(team), {{ owner_branches() }} '') as owner_team

    from joined

),

final as (

    select * except ({{ owner_helpers() }})

    from attributed

)

select * from final
