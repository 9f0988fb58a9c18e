-- Of counted calls and of those that take their place: what an event says beside the dimensions of the sums.
with

source as (

    select * from {{ source('tally', 'events') }}

    where
        kind = 'inference'
        and outcome in ('counted', 'replacement', 'release')
        and (outcome != 'release' or pricing != '')

),

renamed as (

    select
        `partition` as log_partition,
        `offset` as log_offset,
        event_index,
        organization,
        source as event_source,
        id as event_id,
        `time` as occurred_at,
        if(outcome = 'replacement', original_offset, null) as corrected_offset,
        if(outcome = 'replacement', original_index, null) as corrected_index,
        provider_account,
        service_tier,
        speed,
        geography,
        region,
        user as user_pseudonym,
        purpose,
        `key` as key_fingerprint,
        session,
        root_call,
        parent_call,
        agent_version,
        tool,
        attempt,
        retry_of,
        fallback_of,
        fallback_reason,
        role as call_role,
        cached_from,
        response_cache,
        operation,
        inference_class,
        tags

    from source

)

select * from renamed
