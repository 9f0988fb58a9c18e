with

source as (

    select * from {{ source('tally', 'events') }}

),

renamed as (

    select
        -- position on the log
        `partition` as log_partition,
        `offset` as log_offset,
        event_index,
        accepted_at,

        -- identity
        organization,
        source as event_source,
        id as event_id,
        `time` as occurred_at,

        -- what became of it
        outcome,
        kind,
        reason,
        detail,
        original_offset as first_offset,
        original_index as first_index,

        -- who
        team,
        project,
        feature,
        environment,
        user as user_pseudonym,
        customer,
        payer,
        `key` as key_fingerprint,

        -- call tree
        session,
        root_call,
        parent_call,
        agent,
        tool,
        tool_arguments_hash,
        tool_result_hash,

        -- what answered
        provider,
        model,
        model_resolved,
        status,
        latency_ms,

        -- price
        pricing,
        unpriced_reason,
        currency,
        price_document,
        price_id

    from source

)

select * from renamed
