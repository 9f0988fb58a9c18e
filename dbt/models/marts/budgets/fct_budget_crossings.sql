-- A row for each threshold that a decision names. A crossed threshold is armed again before it is crossed
-- again. So the next decision about it, if there is one, is that it was armed, or its budget removed. One
-- that was crossed only in the past is not armed again, since it never fired.
with

decisions as (

    select
        * except (threshold_percent),
        arrayJoin(
            if(decision = 'control.applied', [toUInt16(50), 80, 100], threshold_percents)
        ) as threshold_percent

    from {{ ref('int_budget_decisions') }}

    where decision in ('threshold.crossed', 'threshold.rearmed') or control_type = 'budget.removed'

),

thresholds as (

    select
        *,
        leadInFrame(toNullable(accepted_at)) over next_decision as next_accepted_at,
        leadInFrame(window_ends_at) over next_decision as next_window_ends_at

    from decisions

    window next_decision as (
        partition by budget_key, threshold_percent, is_past
        order by log_offset, seq
        rows between current row and 1 following
    )

),

final as (

    select
        arrayStringConcat(
            [
                toString(log_partition), toString(log_offset), toString(seq), toString(threshold_percent)
            ],
            '-'
        ) as crossing_key,
        budget_key,
        log_partition,
        log_offset,
        seq,
        organization,
        dimension,
        scope_value,
        window_s,
        threshold_percent,
        is_past,
        accepted_at as crossed_at,
        window_ends_at,
        used_amount,
        assumed_amount,
        unknown_calls,
        limit_amount,
        currency,
        event_source,
        event_id,
        if(is_past, null, next_accepted_at) as rearmed_at,
        if(is_past, null, next_window_ends_at) as rearmed_window_ends_at

    from thresholds

    where decision = 'threshold.crossed'

)

select * from final
