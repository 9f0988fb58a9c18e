-- A crossed threshold is armed again before it is crossed again. So the next decision about it, if there is
-- one, is that it was armed.
with

thresholds as (

    select
        *,
        leadInFrame(toNullable(accepted_at)) over next_decision as next_accepted_at,
        leadInFrame(window_ends_at) over next_decision as next_window_ends_at

    from {{ ref('int_budget_decisions') }}

    where decision in ('threshold.crossed', 'threshold.rearmed')

    window next_decision as (
        partition by budget_key, threshold_percent
        order by log_offset, seq
        rows between current row and 1 following
    )

),

final as (

    select
        concat(toString(log_partition), '-', toString(log_offset), '-', toString(seq)) as crossing_key,
        budget_key,
        log_partition,
        log_offset,
        seq,
        organization,
        dimension,
        scope_value,
        window_s,
        threshold_percent,
        accepted_at as crossed_at,
        window_ends_at,
        used_amount,
        assumed_amount,
        unknown_calls,
        limit_amount,
        currency,
        event_source,
        event_id,
        next_accepted_at as rearmed_at,
        next_window_ends_at as rearmed_window_ends_at

    from thresholds

    where decision = 'threshold.crossed'

)

select * from final
