with

source as (

    select * from {{ source('tally', 'events') }}

),

renamed as (

    select
        -- position on the log
        `partition` as log_partition,
        `offset` as log_offset,
        seq,
        event_index,
        accepted_at,

        -- identity
        organization,
        source as event_source,
        id as event_id,
        `time` as occurred_at,

        -- outcome
        outcome,
        kind,
        reason,
        detail,
        original_offset as first_offset,
        original_index as first_index,
        if(billing_month = '', formatDateTime(`time`, '%Y-%m', 'UTC'), billing_month) as billing_month,

        -- dimensions
        -- begin staged dimensions (tools/dimensions.py)
        provider,
        provider_account,
        model as model_requested,
        model_resolved,
        service_tier,
        speed,
        geography,
        region,
        context_tier,
        team,
        project,
        feature,
        agent,
        session,
        customer,
        user as user_pseudonym,
        environment,
        purpose,
        payer,
        `key` as key_fingerprint,
        status,
        -- end staged dimensions

        -- call tree
        root_call,
        parent_call,
        tool,
        tool_arguments_hash,
        tool_result_hash,

        -- result
        latency_ms,

        -- import
        adapter,
        left_out,

        -- usage
        usage_source,
        calls,
        period_s,

        -- pricing
        pricing,
        unpriced_reason,
        currency,
        price_document,
        price_id,
        tier_basis,
        greatest_unpriced_cost,
        unknown_tokens,
        saved_cost

    from source

)

select * from renamed
