-- Budgets with their limit of now, and the place on the log behind which their spend counts.
with

allocations as (

    select
        *,
        (log_offset, seq) as place

    from {{ ref('int_budget_decisions') }}

    where decision = 'control.applied'

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
        argMax(limit_amount, place) as limit_amount,
        min(log_offset) as first_offset,
        argMin(event_index, place) as first_index,
        min(accepted_at) as allocated_at,
        argMax(accepted_at, place) as limit_set_at

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
