-- Alerts as they stand, each with the places on the log between which its session's run stands.
with

alerts as (

    select
        *,
        (log_offset, seq) as place

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
        argMax(reason, place) as reason,
        argMax(repeats, place) as repeats,
        argMax(spent, place) as spent,
        any(run_started_at) as started_at,
        argMax(run_last_at, place) as last_at

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
