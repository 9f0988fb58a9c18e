-- Each call with what it costs itself, and with all that it caused. A call that names no other, and is named
-- by none, is a tree of its own.
with

final as (

    select
        call_key,
        step_currency as currency,
        tree_key,
        above_key,
        linked_by,
        is_orphan,
        depth,
        occurred_at,
        organization,
        call_source as event_source,
        call_id as event_id,
        session,
        root_call,
        parent_call,
        {{ usage_dimensions() }},
        tool,
        operation,
        key_fingerprint,
        provider_account,
        status,
        is_failed,
        is_retry,
        is_fallback,
        response_cache,
        corrected_by,
        latency_ms,
        pricing,
        is_own_currency,
        if(is_own_currency, node_calls, 0) as calls,
        if(is_own_currency, node_tokens, 0) as tokens,
        if(is_own_currency, node_cached_tokens, 0) as cached_tokens,
        if(is_own_currency, node_saved_cost, null) as saved_cost,
        if(is_own_currency, node_cache_saved_cost, null) as cache_saved_cost,
        if(is_own_currency, node_list_cost, null) as list_cost,
        if(is_own_currency, node_contracted_cost, null) as contracted_cost,
        if(is_own_currency, node_effective_cost, null) as effective_cost,
        if(is_own_currency, node_billed_cost, null) as billed_cost,
        step_calls as subtree_calls,
        step_tokens as subtree_tokens,
        step_list_cost as subtree_list_cost,
        step_billed_cost as subtree_billed_cost

    from {{ ref('rollup_call_steps') }} final

    array join
        subtree_currency as step_currency,
        subtree_is_own as is_own_currency,
        subtree_calls as step_calls,
        subtree_tokens as step_tokens,
        subtree_list_cost as step_list_cost,
        subtree_billed_cost as step_billed_cost

    where is_last

)

select * from final
