with

source as (

    select * from {{ source('tally', 'alerts') }}

),

renamed as (

    select
        `partition` as log_partition,
        `offset` as log_offset,
        seq,
        accepted_at,
        organization,
        alert as alert_id,
        `state` as alert_state,
        detector,
        session,
        agent,
        team,
        tool,
        repeats,
        spent,
        reason

    from source

)

select * from renamed
