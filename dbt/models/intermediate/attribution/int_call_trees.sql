-- Each call tree with its calls and their sums, and the team that owns its root. The steps are read once.
with

steps as (

    select * from {{ ref('fct_call_steps') }}

),

rooted as (

    select
        steps.tree_key as tree_key,
        steps.currency as currency,
        any(steps.organization) as organization,
        {{ root_values(
            ['event_source', 'event_id', 'root_call', 'session'] + usage_dimensions().split(', ')
            + ['key_fingerprint', 'provider_account', 'status', 'occurred_at']
        ) }},
        accurateCast(countIf(
            steps.call_key = steps.tree_key
            and (steps.is_orphan or steps.root_call not in ('', steps.event_id))
        ) > 0, 'UInt8') as is_root_missing,
        accurateCast(
            countIf(steps.call_key = steps.tree_key and steps.linked_by = 'circle') > 0, 'UInt8'
        ) as is_circular,
        min(steps.occurred_at) as started_at,
        max(steps.occurred_at + toIntervalMillisecond(coalesce(steps.latency_ms, 0))) as ended_at,
        dateDiff('millisecond', started_at, ended_at) as duration_ms,
        groupUniqArray(steps.call_key) as call_keys,
        toUInt64(length(call_keys)) as steps,
        max(steps.depth) as depth,
        sum(steps.is_orphan) as orphans,
        sum(steps.calls) as calls,
        sumIf(steps.calls, steps.is_failed) as failed_calls,
        sumIf(steps.calls, steps.is_retry) as retried_calls,
        sumIf(steps.calls, steps.is_fallback) as fallback_calls,
        sumIf(steps.calls, steps.response_cache = 'hit') as cached_calls,
        sumIf(steps.calls, steps.pricing not in ('priced', 'free')) as unpriced_calls,
        sum(steps.tokens) as tokens,
        sum(steps.cached_tokens) as cached_tokens,
        sum(steps.saved_cost) as saved_cost,
        sum(steps.cache_saved_cost) as cache_saved_cost,
        sumIf(steps.billed_cost, steps.is_failed) as failed_cost,
        sumIf(steps.billed_cost, steps.is_retry) as retry_cost,
        sumIf(steps.billed_cost, steps.is_fallback) as fallback_cost,
        sum(steps.list_cost) as list_cost,
        sum(steps.contracted_cost) as contracted_cost,
        sum(steps.effective_cost) as effective_cost,
        sum(steps.billed_cost) as billed_cost

    from steps

    group by steps.tree_key, steps.currency

),

final as (

    {{ owned_rows('rooted') }}

)

select * from final
