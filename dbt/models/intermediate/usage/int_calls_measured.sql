-- Inferences that are counted or quarantined, what takes their place or takes them back (with opposite
-- signs), and the measures that may be summed: calls (an aggregate stands for several), those whose cost is
-- not known, and the most that they may cost. No call is in two of the counts.
with

events as (

    select * from {{ ref('stg_tally__events') }}

),

inferences as (

    select
        * except (calls, unknown_tokens),
        if(model_resolved = '', model_requested, model_resolved) as model,
        if(outcome = 'reversal', -1, 1) * toInt64(coalesce(nullIf(calls, 0), 1)) as call_count,
        toInt64(coalesce(unknown_tokens, 0)) as told_tokens,
        outcome = 'quarantined'
        or (outcome in ('reversal', 'restatement') and unpriced_reason = 'quarantined') as is_quarantined,
        is_quarantined or pricing in ('unknown', 'unpriced', 'partially_priced') as is_unknown

    from events

    where
        outcome in ('counted', 'quarantined', 'reversal', 'replacement', 'release', 'restatement')
        and kind = 'inference'
        and (outcome != 'release' or pricing != '')

),

measured as (

    select
        * except (call_count, told_tokens, is_quarantined, is_unknown),
        toInt64(if(is_quarantined, 0, call_count)) as calls,
        toInt64(if(pricing = 'unknown' and not is_quarantined, call_count, 0)) as unknown_calls,
        toInt64(if(pricing in ('unpriced', 'partially_priced'), call_count, 0)) as unpriced_calls,
        toInt64(if(is_quarantined, call_count, 0)) as quarantined_calls,
        toInt64(if(is_unknown and greatest_unpriced_cost is null, call_count, 0)) as unbounded_calls,
        told_tokens as unknown_tokens

    from inferences

)

select * from measured
