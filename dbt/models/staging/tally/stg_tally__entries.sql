with

source as (

    select * from {{ source('tally', 'entries') }}

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

        -- of a reversal, the entry that it takes back; of a restatement, the one that it restates
        outcome,
        original_offset as reversed_offset,
        original_index as reversed_index,
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

        -- measures
        class,
        quantity,
        unit_price,
        list_cost,
        contracted_cost,
        effective_cost,
        billed_cost,
        greatest_cost as greatest_unpriced_cost,
        currency,
        price_document,
        price_id,
        tier_basis,
        contract_id

    from source

)

select * from renamed
