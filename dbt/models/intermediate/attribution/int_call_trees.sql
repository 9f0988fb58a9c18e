-- Each call tree with its calls and their sums, by currency: the rows of their roots.
with

final as (

    select
        tree_key,
        root_currency as currency,
        organization,
        call_source as event_source,
        call_id as event_id,
        root_call,
        session,
        {{ usage_dimensions() }},
        key_fingerprint,
        provider_account,
        status,
        occurred_at,
        accurateCast(is_orphan or root_call not in ('', call_id), 'UInt8') as is_root_missing,
        accurateCast(linked_by = 'circle', 'UInt8') as is_circular,
        tree_started_at as started_at,
        tree_ended_at as ended_at,
        dateDiff('millisecond', tree_started_at, tree_ended_at) as duration_ms,
        tree_steps as steps,
        tree_depth as depth,
        tree_orphans as orphans,
        root_calls as calls,
        root_failed_calls as failed_calls,
        root_retried_calls as retried_calls,
        root_fallback_calls as fallback_calls,
        root_cached_calls as cached_calls,
        root_unpriced_calls as unpriced_calls,
        root_tokens as tokens,
        root_cached_tokens as cached_tokens,
        root_saved_cost as saved_cost,
        root_cache_saved_cost as cache_saved_cost,
        root_failed_cost as failed_cost,
        root_retry_cost as retry_cost,
        root_fallback_cost as fallback_cost,
        root_list_cost as list_cost,
        root_contracted_cost as contracted_cost,
        root_effective_cost as effective_cost,
        root_billed_cost as billed_cost

    from {{ ref('rollup_call_steps') }} final

    array join
        tree_currency as root_currency,
        {{ tree_lists() }}

    where call_key = tree_key

)

select * from final
