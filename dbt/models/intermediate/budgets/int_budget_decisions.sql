-- Decisions about budgets that have effect: allocated, removed, thresholds crossed and armed again, and calls
-- of unknown usage that a budget denies.
with

decisions as (

    select * from {{ ref('stg_tally__decisions') }}

),

final as (

    select
        lower(hex(sipHash128(organization, dimension, scope_value, window_s))) as budget_key,
        * except (effective_at, known_at, body)

    from decisions

    where
        decision in (
            'threshold.crossed', 'threshold.rearmed', 'unknown_usage.raised', 'unknown_usage.resolved'
        )
        or (
            decision = 'control.applied'
            and control_type in ('budget.allocated', 'budget.removed')
        )

)

select * from final
