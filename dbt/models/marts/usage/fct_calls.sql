-- Organization and time are in the join, so that a filter on them reaches both sides.
with

calls as (

    select * from {{ ref('int_calls_counted') }}

),

entries as (

    select
        organization,
        occurred_at,
        log_partition,
        log_offset,
        event_index,
        sum(tokens) as tokens,
        sum(unpriced_quantity) as unpriced_quantity,
        sum(list_cost) as list_cost,
        sum(contracted_cost) as contracted_cost,
        sum(effective_cost) as effective_cost,
        sum(billed_cost) as billed_cost

    from {{ ref('int_entries_measured') }}

    group by
        organization,
        occurred_at,
        log_partition,
        log_offset,
        event_index

),

final as (

    select
        concat(
            toString(calls.log_partition), '-', toString(calls.log_offset), '-', toString(calls.event_index)
        ) as call_key,
        calls.log_partition as log_partition,
        calls.log_offset as log_offset,
        calls.event_index as event_index,
        calls.accepted_at as accepted_at,
        calls.occurred_at as occurred_at,
        calls.organization as organization,
        calls.event_source as event_source,
        calls.event_id as event_id,
        calls.session as session,
        calls.root_call as root_call,
        calls.parent_call as parent_call,
        {{ usage_dimensions('calls') }},
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
        calls.greatest_unpriced_cost as greatest_unpriced_cost,
        if(calls.pricing = 'free', toDecimal128(0, 12), entries.list_cost) as list_cost,
        if(calls.pricing = 'free', toDecimal128(0, 12), entries.contracted_cost) as contracted_cost,
        if(calls.pricing = 'free', toDecimal128(0, 12), entries.effective_cost) as effective_cost,
        if(calls.pricing = 'free', toDecimal128(0, 12), entries.billed_cost) as billed_cost

    from calls

    left join entries
        on
            calls.organization = entries.organization
            and calls.occurred_at = entries.occurred_at
            and calls.log_partition = entries.log_partition
            and calls.log_offset = entries.log_offset
            and calls.event_index = entries.event_index

)

select * from final
