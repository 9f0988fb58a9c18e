-- The rows of fct_usage, with the properties of the call by which an owner is found.
with

entries as (

    select
        accepted_at,
        occurred_at,
        organization,
        event_source,
        billing_month,
        {{ entry_dimensions() }},
        currency,
        class,
        quantity,
        tokens,
        unpriced_quantity,
        unpriced_tokens,
        list_cost,
        contracted_cost,
        effective_cost,
        billed_cost,
        toInt64(0) as calls,
        toInt64(0) as unknown_calls,
        toInt64(0) as unpriced_calls,
        toInt64(0) as quarantined_calls,
        toInt64(0) as unbounded_calls,
        toInt64(0) as unknown_tokens,
        null as greatest_unpriced_cost,
        null as saved_cost

    from {{ ref('int_entries_measured') }}

),

calls as (

    select
        accepted_at,
        occurred_at,
        organization,
        event_source,
        billing_month,
        {{ entry_dimensions() }},
        currency,
        toLowCardinality(if(quarantined_calls = 0, 'call', 'quarantined')) as class,
        calls + quarantined_calls as quantity,
        0 as tokens,
        0 as unpriced_quantity,
        0 as unpriced_tokens,
        null as list_cost,
        null as contracted_cost,
        null as effective_cost,
        null as billed_cost,
        calls,
        unknown_calls,
        unpriced_calls,
        quarantined_calls,
        unbounded_calls,
        unknown_tokens,
        greatest_unpriced_cost,
        saved_cost

    from {{ ref('int_calls_measured') }}

),

unioned as (

    select * from entries

    union all

    select * from calls

),

assignments as (

    select * from {{ ref('dim_assignments') }}

    where known_to_offset is null

),

joined as (

    {{ join_owners('unioned', 'assignments') }}

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
