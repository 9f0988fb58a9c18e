-- The folds tell of an alert anew only where it escalates. So an open alert has the figures of its calls so
-- far, and a resolved one its own; what it costs an hour is of its last line.
with

runs as (

    select * from {{ ref('int_runaways') }}

),

calls as (

    select
        *,
        (log_offset, reinterpretAsInt32(event_index)) as log_position

    from {{ ref('fct_runaway_calls') }}

),

progress as (

    select
        alert_id,
        count() as calls,
        sumMapIf(map(currency::String, coalesce(list_cost, 0)), currency != '') as spent,
        max(occurred_at) as last_at,
        argMax(accepted_at, log_position) as last_accepted_at

    from calls

    group by alert_id

),

final as (

    select
        runs.alert_id as alert_id,
        runs.log_partition as log_partition,
        runs.organization as organization,
        runs.severity as severity,
        runs.detector as detector,
        runs.families as families,
        runs.session as session,
        runs.agent as agent,
        runs.team as team,
        runs.tool as tool,
        runs.arguments_hash as arguments_hash,
        runs.result_hash as result_hash,
        runs.is_open as is_open,
        runs.is_past as is_past,
        runs.raised_at as raised_at,
        if(runs.is_open, null, runs.resolved_at) as resolved_at,
        runs.reason as reason,
        runs.started_at as started_at,
        if(runs.is_open, progress.last_at, runs.last_at) as last_at,
        progress.last_accepted_at as last_accepted_at,
        if(runs.is_open, progress.calls, runs.calls) as calls,
        runs.repeats as repeats,
        if(runs.is_open, progress.spent, runs.spent) as spent,
        runs.per_hour as per_hour,
        runs.projected as projected,
        runs.evidence_positions as evidence_positions

    from runs

    left join progress
        on runs.alert_id = progress.alert_id

)

select * from final
