-- Organization and time are in the join, so that a filter on them reaches both sides. A reversal has the time
-- of the call that it takes back, and its entries belong to that call: the sums are net of it.
with

counted as (

    select * from {{ ref('int_calls_counted') }}

    where outcome != 'reversal'

),

reversals as (

    select
        organization,
        occurred_at,
        log_partition,
        first_offset,
        first_index,
        reason

    from {{ ref('int_calls_counted') }}

    where outcome = 'reversal'

),

entries as (

    select
        organization,
        occurred_at,
        log_partition,
        coalesce(reversed_offset, log_offset) as call_offset,
        coalesce(reversed_index, event_index) as call_index,
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
        call_offset,
        call_index

),

final as (

    select
        concat(
            toString(counted.log_partition),
            '-',
            toString(counted.log_offset),
            '-',
            toString(counted.event_index)
        ) as call_key,
        counted.log_partition as log_partition,
        counted.log_offset as log_offset,
        counted.event_index as event_index,
        counted.accepted_at as accepted_at,
        counted.occurred_at as occurred_at,
        counted.organization as organization,
        counted.event_source as event_source,
        counted.event_id as event_id,
        counted.session as session,
        counted.root_call as root_call,
        counted.parent_call as parent_call,
        {{ usage_dimensions('counted') }},
        counted.status as status,
        reversals.reason as corrected_by,
        counted.latency_ms as latency_ms,
        if(reversals.reason = '', counted.calls, 0) as calls,
        counted.period_s as period_s,
        counted.usage_source as usage_source,
        counted.pricing as pricing,
        counted.unpriced_reason as unpriced_reason,
        counted.tier_basis as tier_basis,
        counted.currency as currency,
        entries.tokens as tokens,
        if(reversals.reason = '', counted.unknown_tokens, 0) as unknown_tokens,
        entries.unpriced_quantity as unpriced_quantity,
        if(reversals.reason = '', counted.greatest_unpriced_cost, null) as greatest_unpriced_cost,
        if(reversals.reason = '', counted.saved_cost, null) as saved_cost,
        if(counted.pricing = 'free', toDecimal128(0, 12), entries.list_cost) as list_cost,
        if(counted.pricing = 'free', toDecimal128(0, 12), entries.contracted_cost) as contracted_cost,
        if(counted.pricing = 'free', toDecimal128(0, 12), entries.effective_cost) as effective_cost,
        if(counted.pricing = 'free', toDecimal128(0, 12), entries.billed_cost) as billed_cost

    from counted

    left join entries
        on
            counted.organization = entries.organization
            and counted.occurred_at = entries.occurred_at
            and counted.log_partition = entries.log_partition
            and counted.log_offset = entries.call_offset
            and counted.event_index = entries.call_index

    left any join reversals
        on
            counted.organization = reversals.organization
            and counted.occurred_at = reversals.occurred_at
            and counted.log_partition = reversals.log_partition
            and counted.log_offset = reversals.first_offset
            and counted.event_index = reversals.first_index

)

select * from final
