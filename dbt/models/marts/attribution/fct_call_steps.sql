-- Each call with what it costs itself, and with all that it caused. A call that names no other, and is named
-- by none, is a tree of its own.
with

nodes as (

    select * from {{ ref('int_call_nodes') }}

),

subtrees as (

    select * from {{ ref('int_call_subtrees') }}

),

final as (

    select
        nodes.call_key as call_key,
        if(subtrees.call_key = '', nodes.currency, subtrees.currency) as currency,
        if(subtrees.call_key = '', nodes.call_key, subtrees.tree_key) as tree_key,
        subtrees.above_key as above_key,
        subtrees.linked_by as linked_by,
        subtrees.is_orphan as is_orphan,
        subtrees.depth as depth,
        nodes.occurred_at as occurred_at,
        nodes.organization as organization,
        nodes.event_source as event_source,
        nodes.event_id as event_id,
        nodes.session as session,
        nodes.root_call as root_call,
        nodes.parent_call as parent_call,
        {{ usage_dimensions('nodes') }},
        nodes.tool as tool,
        nodes.operation as operation,
        nodes.key_fingerprint as key_fingerprint,
        nodes.provider_account as provider_account,
        nodes.status as status,
        nodes.is_failed as is_failed,
        nodes.is_retry as is_retry,
        nodes.is_fallback as is_fallback,
        nodes.response_cache as response_cache,
        nodes.corrected_by as corrected_by,
        nodes.latency_ms as latency_ms,
        nodes.pricing as pricing,
        accurateCast(subtrees.call_key = '' or subtrees.is_own, 'UInt8') as is_own_currency,
        if(is_own_currency, nodes.calls, 0) as calls,
        if(is_own_currency, nodes.tokens, 0) as tokens,
        if(is_own_currency, nodes.cached_tokens, 0) as cached_tokens,
        if(is_own_currency, nodes.saved_cost, null) as saved_cost,
        if(is_own_currency, nodes.cache_saved_cost, null) as cache_saved_cost,
        if(is_own_currency, nodes.list_cost, null) as list_cost,
        if(is_own_currency, nodes.contracted_cost, null) as contracted_cost,
        if(is_own_currency, nodes.effective_cost, null) as effective_cost,
        if(is_own_currency, nodes.billed_cost, null) as billed_cost,
        if(subtrees.call_key = '', nodes.calls, subtrees.subtree_calls) as subtree_calls,
        if(subtrees.call_key = '', nodes.tokens, subtrees.subtree_tokens) as subtree_tokens,
        if(subtrees.call_key = '', nodes.list_cost, subtrees.subtree_list_cost) as subtree_list_cost,
        if(
            subtrees.call_key = '', nodes.billed_cost, subtrees.subtree_billed_cost
        ) as subtree_billed_cost

    from nodes

    left join subtrees on nodes.call_key = subtrees.call_key

)

select * from final
