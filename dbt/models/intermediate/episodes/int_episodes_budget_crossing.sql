-- Crossings of a budget's limit as episodes, until it is armed again. Those of a lower threshold announce it,
-- and are none. The first decision about the budget after the crossing is that of the episode.
with

crossings as (

    select * from {{ ref('fct_budget_crossings') }}

    where threshold_percent >= 100

),

controls as (

    select
        budget_key,
        log_offset,
        accepted_at

    from {{ ref('int_budget_decisions') }}

    where decision = 'control.applied'

),

decided as (

    select
        crossings.*,
        if(
            controls.budget_key != '' and coalesce(controls.accepted_at <= crossings.rearmed_at, true),
            toNullable(controls.accepted_at),
            null
        ) as decided_at

    from crossings

    asof left join controls
        on crossings.budget_key = controls.budget_key and crossings.log_offset < controls.log_offset

),

final as (

    select
        concat('crossing-', crossing_key) as episode_id,
        'budget_crossing' as kind,
        organization,
        multiIf(is_past, 'history', rearmed_at is null, 'active', 'closed') as state,
        'warning' as severity,
        'threshold' as detector,
        [] as families,
        dimension,
        scope_value,
        if(dimension = 'team', scope_value, '') as team,
        if(dimension = 'agent', scope_value, '') as agent,
        '' as session,
        '' as tool,
        0 as repeats,
        coalesce(window_ends_at, toDateTime64(crossed_at, 6, 'UTC')) as began_at,
        crossed_at as detected_at,
        null as acknowledged_at,
        decided_at,
        rearmed_at as restored_at,
        rearmed_at as closed_at,
        coalesce(window_ends_at, toDateTime64(crossed_at, 6, 'UTC')) as last_at,
        if(rearmed_at is null, '', 'below the limit') as reason,
        map(toString(currency), coalesce(used_amount, toDecimal128(0, 12))) as spent,
        mapFilter((code, amount) -> false, spent) as per_hour,
        mapFilter((code, amount) -> false, spent) as projected,
        '' as label,
        [] as handling,
        [] as evidence_positions

    from decided

)

select * from final
