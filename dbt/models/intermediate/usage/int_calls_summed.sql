-- Counted inferences, and what takes them back or restates them, each with the sums of its own entries: those
-- of the same line of the topic. They are signed, so that a call and all that came to it later add up to what
-- it costs now. An amendment names the call that it belongs to, and has its time.
with

calls as (

    select * from {{ ref('int_calls_counted') }}

),

entries as (

    select
        log_partition,
        log_offset,
        seq,
        sum(tokens) as tokens,
        sum(unpriced_quantity) as unpriced_quantity,
        sum(unpriced_tokens) as unpriced_tokens,
        sum(list_cost) as list_cost,
        sum(contracted_cost) as contracted_cost,
        sum(effective_cost) as effective_cost,
        sum(billed_cost) as billed_cost

    from {{ ref('int_entries_measured') }}

    group by
        log_partition,
        log_offset,
        seq

),

final as (

    select
        accurateCast(calls.outcome in ('reversal', 'restatement'), 'UInt8') as is_amendment,
        calls.log_partition as log_partition,
        calls.log_offset as log_offset,
        calls.seq as seq,
        calls.event_index as event_index,
        calls.accepted_at as accepted_at,
        calls.occurred_at as occurred_at,
        calls.organization as organization,
        calls.event_source as event_source,
        calls.event_id as event_id,
        calls.outcome as outcome,
        calls.reason as reason,
        calls.first_offset as first_offset,
        calls.first_index as first_index,
        if(is_amendment, coalesce(calls.first_offset, 0), calls.log_offset) as call_offset,
        if(is_amendment, coalesce(calls.first_index, 0), calls.event_index) as call_index,
        calls.session as session,
        calls.root_call as root_call,
        calls.parent_call as parent_call,
        {{ usage_dimensions('calls') }},
        calls.user_pseudonym as user_pseudonym,
        calls.key_fingerprint as key_fingerprint,
        calls.tool as tool,
        calls.tool_arguments_hash as tool_arguments_hash,
        calls.tool_result_hash as tool_result_hash,
        calls.status as status,
        calls.latency_ms as latency_ms,
        calls.calls as calls,
        calls.period_s as period_s,
        calls.usage_source as usage_source,
        calls.pricing as pricing,
        calls.unpriced_reason as unpriced_reason,
        calls.tier_basis as tier_basis,
        calls.currency as currency,
        entries.tokens as tokens,
        calls.unknown_tokens as unknown_tokens,
        entries.unpriced_quantity as unpriced_quantity,
        entries.unpriced_tokens as unpriced_tokens,
        calls.greatest_unpriced_cost as greatest_unpriced_cost,
        calls.saved_cost as saved_cost,
        entries.list_cost as list_cost,
        entries.contracted_cost as contracted_cost,
        entries.effective_cost as effective_cost,
        entries.billed_cost as billed_cost

    from calls

    left any join entries
        on
            calls.log_partition = entries.log_partition
            and calls.log_offset = entries.log_offset
            and calls.seq = entries.seq

)

select * from final
