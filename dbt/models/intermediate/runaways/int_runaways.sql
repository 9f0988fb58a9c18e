-- Alerts in their present state, each with the positions on the log between which its run lies.
with

alerts as (

    select
        *,
        (log_offset, seq) as log_position

    from {{ ref('stg_tally__alerts') }}

),

final as (

    select
        alert_id,
        log_partition,
        organization,
        detector,
        session,
        tool,
        arguments_hash,
        result_hash,
        any(agent) as agent,
        any(team) as team,
        any(run_offset) as run_offset,
        any(run_index) as run_index,
        any(evidence_positions) as evidence_positions,
        minIf(accepted_at, alert_state = 'raised') as raised_at,
        countIf(alert_state = 'resolved') = 0 as is_open,
        maxIf(accepted_at, alert_state = 'resolved') as resolved_at,
        maxIf(log_offset, alert_state = 'resolved') as resolved_offset,
        maxIf(event_index, alert_state = 'resolved') as resolved_index,
        argMax(reason, log_position) as reason,
        argMax(calls, log_position) as calls,
        argMax(repeats, log_position) as repeats,
        argMax(spent, log_position) as spent,
        argMax(severity, log_position) as severity,
        argMax(families, log_position) as families,
        argMax(per_hour, log_position) as per_hour,
        argMax(projected, log_position) as projected,
        minIf(is_past, alert_state != 'resolved') as is_past,
        any(run_started_at) as started_at,
        argMax(run_last_at, log_position) as last_at

    from alerts

    group by
        alert_id,
        log_partition,
        organization,
        detector,
        session,
        tool,
        arguments_hash,
        result_hash

)

select * from final
