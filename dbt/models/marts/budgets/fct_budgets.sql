-- The state that the folds have now, for the window that ends with the bucket of the log's time.
with

budgets as (

    select * from {{ ref('int_budgets_allocated') }}

),

spent as (

    select * from {{ ref('int_budgets_spent') }}

),

logs as (

    select * from {{ ref('int_log_clocks') }}

),

denials as (

    select
        budget_key,
        argMax(decision, (log_offset, seq)) = 'unknown_usage.raised' as is_denied

    from {{ ref('int_budget_decisions') }}

    where decision in ('unknown_usage.raised', 'unknown_usage.resolved') or control_type = 'budget.removed'

    group by budget_key

),

crossings as (

    select * from {{ ref('fct_budget_crossings') }}

    where rearmed_at is null and not is_past

),

fired as (

    select
        budget_key,
        max(threshold_percent) as fired_percent,
        argMax(crossed_at, threshold_percent) as fired_at

    from crossings

    group by budget_key

),

joined as (

    select
        budgets.budget_key as budget_key,
        budgets.log_partition as log_partition,
        budgets.organization as organization,
        budgets.dimension as dimension,
        budgets.scope_value as scope_value,
        budgets.window_s as window_s,
        budgets.bucket_s as bucket_s,
        budgets.currency as currency,
        budgets.limit_amount as limit_amount,
        budgets.unknown_usage as unknown_usage,
        budgets.warning as warning,
        budgets.allocated_at as allocated_at,
        budgets.limit_set_at as limit_set_at,
        spent.budget_key != '' as has_spent,
        spent.spend_of_bucket as spend_of_bucket,
        spent.greatest_of_bucket as greatest_of_bucket,
        spent.unknown_calls_of_bucket as unknown_calls_of_bucket,
        spent.unknown_tokens_of_bucket as unknown_tokens_of_bucket,
        spent.unbounded_calls_of_bucket as unbounded_calls_of_bucket,
        spent.last_spent_at as last_spent_at,
        logs.now_at as now_at,
        fired.fired_percent as fired_percent,
        fired.fired_at as fired_at,
        denials.is_denied as is_denied

    from budgets

    left join spent
        on budgets.budget_key = spent.budget_key

    left join logs
        on budgets.log_partition = logs.log_partition

    left join fired
        on budgets.budget_key = fired.budget_key

    left join denials
        on budgets.budget_key = denials.budget_key

),

clocked as (

    select
        *,
        toDateTime64(now_at, 6, 'UTC') as clock_at,
        intDiv(toUnixTimestamp64Micro(clock_at), 1000000 * bucket_s) as bucket,
        fromUnixTimestamp64Micro(1000000 * bucket_s * (bucket - 60), 'UTC') as oldest_bucket_at,
        fromUnixTimestamp64Micro(1000000 * bucket_s * (bucket + 1), 'UTC') as next_bucket_at

    from joined

),

final as (

    select
        budget_key,
        log_partition,
        organization,
        dimension,
        scope_value,
        window_s,
        bucket_s,
        currency,
        limit_amount,
        unknown_usage,
        range(bucket - 60, bucket + 1) as buckets,
        arrayMap(
            number -> spend_of_bucket[number]
            + if(unknown_usage = 'assume_greatest', greatest_of_bucket[number], 0),
            buckets
        ) as spend_by_bucket,
        arraySum(spend_by_bucket) as used_amount,
        arraySum(arrayMap(number -> greatest_of_bucket[number], buckets)) as greatest_unpriced_cost,
        if(unknown_usage = 'assume_greatest', greatest_unpriced_cost, 0)::Decimal(38, 12) as assumed_amount,
        arraySum(arrayMap(number -> unknown_calls_of_bucket[number], buckets)) as unknown_calls,
        arraySum(arrayMap(number -> unknown_tokens_of_bucket[number], buckets)) as unknown_tokens,
        arraySum(arrayMap(number -> unbounded_calls_of_bucket[number], buckets)) as unbounded_calls,
        toUInt8(is_denied and unknown_calls > 0) as is_denied,
        limit_amount - used_amount as remaining_amount,
        if(has_spent, clock_at, null) as clock_at,
        if(has_spent, oldest_bucket_at, null) as window_starts_at,
        if(has_spent, next_bucket_at, null) as window_ends_at,
        if(has_spent, last_spent_at, null) as last_spent_at,
        fired_percent,
        if(fired_percent > 0, fired_at, null) as fired_at,
        allocated_at,
        limit_set_at,
        warning

    from clocked

)

select * except (buckets) from final
