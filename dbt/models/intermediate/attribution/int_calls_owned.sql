-- The rows of fct_attributed_calls without the teams above the owner, whose tree a query plans for itself.
with

{{ owner_spans() }} as owner_spans,

final as (

    select
        call_key,
        log_partition,
        log_offset,
        event_index,
        accepted_at,
        occurred_at,
        organization,
        event_source,
        event_id,
        session,
        root_call,
        parent_call,
        {{ usage_dimensions() }},
        status,
        provider_account,
        service_tier,
        speed,
        geography,
        region,
        user_pseudonym,
        purpose,
        key_fingerprint,
        agent_version,
        tool,
        operation,
        inference_class,
        tags,
        attempt,
        retry_of,
        fallback_of,
        fallback_reason,
        cached_from,
        response_cache,
        is_retry,
        is_fallback,
        is_failed,
        corrected_by,
        latency_ms,
        calls,
        period_s,
        usage_source,
        pricing,
        currency,
        tokens,
        unknown_tokens,
        unpriced_quantity,
        greatest_unpriced_cost,
        saved_cost,
        cached_tokens,
        unrated_cached_tokens,
        cache_saved_cost,
        cache_write_premium,
        list_cost,
        contracted_cost,
        effective_cost,
        billed_cost,
        {{ owner_columns() }}

    from {{ ref('rollup_call_steps') }} final

)

select * except (owner) from final
