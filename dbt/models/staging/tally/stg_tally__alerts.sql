with

source as (

    select * from {{ source('tally', 'alerts') }}

),

renamed as (

    select
        `partition` as log_partition,
        `offset` as log_offset,
        seq,
        event_index,
        accepted_at,
        organization,
        alert as alert_id,
        `state` as alert_state,
        severity,
        detector,
        families,
        session,
        agent,
        team,
        tool,
        arguments_hash,
        result_hash,
        calls,
        repeats,
        spent,
        per_hour,
        projected,
        since as run_started_at,
        last as run_last_at,
        tupleElement(evidence[1], 'offset') as run_offset,
        tupleElement(evidence[1], 'event_index') as run_index,
        arrayMap(
            event -> concat(toString(event.3), '-', toString(event.4), '-', toString(event.5)), evidence
        ) as evidence_positions,
        reason,
        past as is_past

    from source

)

select * from renamed
