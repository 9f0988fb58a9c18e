-- Runaways as episodes: alerts with what people did about them. What an active one has cost is what the folds
-- told last, since its calls would have to be summed for more (fct_runaways).
with

runs as (

    select * from {{ ref('int_runaways') }}

),

handling as (

    select * from {{ ref('int_alert_handling') }}

),

final as (

    select
        runs.alert_id as episode_id,
        'runaway' as kind,
        runs.organization as organization,
        multiIf(
            runs.is_past, 'history',
            not runs.is_open or handling.ended_at is not null, 'closed',
            'active'
        ) as state,
        runs.severity as severity,
        runs.detector as detector,
        runs.families as families,
        'agent' as dimension,
        runs.agent as scope_value,
        runs.team as team,
        runs.agent as agent,
        runs.session as session,
        runs.tool as tool,
        runs.repeats as repeats,
        runs.started_at as began_at,
        runs.raised_at as detected_at,
        handling.acknowledged_at as acknowledged_at,
        handling.decided_at as decided_at,
        if(runs.is_open, null, runs.resolved_at) as restored_at,
        if(
            runs.is_open,
            handling.ended_at,
            least(runs.resolved_at, coalesce(handling.ended_at, runs.resolved_at))
        ) as closed_at,
        runs.last_at as last_at,
        multiIf(
            not runs.is_open and coalesce(runs.resolved_at <= handling.ended_at, true), runs.reason,
            handling.ended_at is not null, 'resolved by a person',
            ''
        ) as reason,
        runs.spent as spent,
        runs.per_hour as per_hour,
        runs.projected as projected,
        handling.label as label,
        handling.steps as handling,
        runs.evidence_positions as evidence_positions

    from runs

    left join handling
        on runs.organization = handling.organization and runs.alert_id = handling.alert_id

)

select * from final
