-- Budgets with their present limit, and the position on the log after which their spend counts. One that was
-- removed is none, and begins anew with the next allocation.
with

decisions as (

    select
        *,
        (log_offset, seq) as log_position,
        maxIf(log_position, control_type = 'budget.removed') over (
            partition by budget_key
        ) as removed_position

    from {{ ref('int_budget_decisions') }}

    where decision = 'control.applied'

),

allocations as (

    select *

    from decisions

    where log_position > removed_position

),

final as (

    select
        budget_key,
        log_partition,
        organization,
        dimension,
        scope_value,
        window_s,
        toInt64(intDiv(window_s, 60)) as bucket_s,
        currency,
        argMax(limit_amount, log_position) as limit_amount,
        argMax(unknown_usage, log_position) as unknown_usage,
        argMax(reason, log_position) as warning,
        min(log_offset) as first_offset,
        argMin(event_index, log_position) as first_index,
        min(accepted_at) as allocated_at,
        argMax(accepted_at, log_position) as limit_set_at

    from allocations

    group by
        budget_key,
        log_partition,
        organization,
        dimension,
        scope_value,
        window_s,
        currency

)

select * from final
