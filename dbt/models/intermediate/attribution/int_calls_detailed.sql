-- The rows of fct_calls with what the event says beside them, and what a cache saved.
with

calls as (

    select * from {{ ref('fct_calls') }}

),

attributes as (

    select * from {{ ref('int_call_versions') }}

),

caches as (

    select * from {{ ref('int_prompt_caches') }}

),

final as (

    select
        calls.call_key as call_key,
        calls.log_partition as log_partition,
        calls.log_offset as log_offset,
        calls.event_index as event_index,
        calls.accepted_at as accepted_at,
        calls.occurred_at as occurred_at,
        calls.organization as organization,
        calls.event_source as event_source,
        calls.event_id as event_id,
        attributes.call_source as call_source,
        attributes.call_id as call_id,
        calls.session as session,
        calls.root_call as root_call,
        calls.parent_call as parent_call,
        {{ usage_dimensions('calls') }},
        calls.status as status,
        attributes.provider_account as provider_account,
        attributes.service_tier as service_tier,
        attributes.speed as speed,
        attributes.geography as geography,
        attributes.region as region,
        attributes.user_pseudonym as user_pseudonym,
        attributes.purpose as purpose,
        attributes.key_fingerprint as key_fingerprint,
        attributes.agent_version as agent_version,
        attributes.tool as tool,
        attributes.operation as operation,
        attributes.inference_class as inference_class,
        attributes.tags as tags,
        attributes.attempt as attempt,
        attributes.retry_of as retry_of,
        attributes.fallback_of as fallback_of,
        attributes.fallback_reason as fallback_reason,
        attributes.cached_from as cached_from,
        attributes.response_cache as response_cache,
        accurateCast(
            attributes.retry_of != '' or coalesce(attributes.attempt > 1, false), 'UInt8'
        ) as is_retry,
        accurateCast(
            attributes.fallback_of != ''
            or attributes.fallback_reason != ''
            or attributes.call_role = 'fallback', 'UInt8'
        ) as is_fallback,
        accurateCast(calls.status in ('error', 'refused', 'aborted'), 'UInt8') as is_failed,
        calls.corrected_by as corrected_by,
        calls.latency_ms as latency_ms,
        calls.calls as calls,
        calls.period_s as period_s,
        calls.usage_source as usage_source,
        calls.pricing as pricing,
        calls.currency as currency,
        calls.tokens as tokens,
        calls.unknown_tokens as unknown_tokens,
        calls.unpriced_quantity as unpriced_quantity,
        calls.greatest_unpriced_cost as greatest_unpriced_cost,
        calls.saved_cost as saved_cost,
        caches.cached_tokens as cached_tokens,
        caches.unrated_cached_tokens as unrated_cached_tokens,
        caches.cache_saved_cost as cache_saved_cost,
        caches.cache_write_premium as cache_write_premium,
        calls.list_cost as list_cost,
        calls.contracted_cost as contracted_cost,
        calls.effective_cost as effective_cost,
        calls.billed_cost as billed_cost

    from calls

    left any join attributes
        on
            calls.organization = attributes.organization
            and calls.occurred_at = attributes.occurred_at
            and calls.log_partition = attributes.log_partition
            and calls.log_offset = attributes.log_offset
            and calls.event_index = attributes.event_index

    left any join caches
        on
            calls.organization = caches.organization
            and calls.occurred_at = caches.occurred_at
            and calls.log_partition = caches.log_partition
            and calls.log_offset = caches.call_offset
            and calls.event_index = caches.call_index

)

select * from final
