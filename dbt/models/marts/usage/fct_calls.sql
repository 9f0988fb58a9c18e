-- Organization and time are in the join, so that a filter on them reaches both sides. A reversal has the time
-- of the call that it takes back, and its entries belong to that call: the sums are net of it. The entries
-- of a restatement belong to the call too, and its price is that of the last one.
with

counted as (

    select * from {{ ref('int_calls_counted') }}

    where outcome not in ('reversal', 'restatement')

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

    where
        outcome = 'reversal'
        and reason != 'restatement'

),

restatement_lines as (

    select
        *,
        (log_offset, reinterpretAsInt32(event_index)) as log_position

    from {{ ref('int_calls_counted') }}

    where outcome = 'restatement'

),

restatements as (

    select
        organization,
        occurred_at,
        log_partition,
        first_offset,
        first_index,
        argMax(pricing, log_position) as pricing,
        argMax(unpriced_reason, log_position) as unpriced_reason,
        argMax(tier_basis, log_position) as tier_basis,
        argMax(currency, log_position) as currency,
        argMax(unknown_tokens, log_position) as unknown_tokens,
        tupleElement(argMax(tuple(greatest_unpriced_cost), log_position), 1) as greatest_unpriced_cost,
        tupleElement(argMax(tuple(saved_cost), log_position), 1) as saved_cost

    from restatement_lines

    group by
        organization,
        occurred_at,
        log_partition,
        first_offset,
        first_index

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
        toLowCardinality(
            if(restatements.pricing = '', counted.pricing, restatements.pricing)
        ) as pricing,
        toLowCardinality(
            if(restatements.pricing = '', counted.unpriced_reason, restatements.unpriced_reason)
        ) as unpriced_reason,
        toLowCardinality(
            if(restatements.pricing = '', counted.tier_basis, restatements.tier_basis)
        ) as tier_basis,
        toLowCardinality(
            if(restatements.pricing = '', counted.currency, restatements.currency)
        ) as currency,
        entries.tokens as tokens,
        multiIf(
            reversals.reason != '', 0,
            restatements.pricing = '', counted.unknown_tokens,
            restatements.unknown_tokens
        ) as unknown_tokens,
        entries.unpriced_quantity as unpriced_quantity,
        multiIf(
            reversals.reason != '', null,
            restatements.pricing = '', counted.greatest_unpriced_cost,
            restatements.greatest_unpriced_cost
        ) as greatest_unpriced_cost,
        multiIf(
            reversals.reason != '', null,
            restatements.pricing = '', counted.saved_cost,
            restatements.saved_cost
        ) as saved_cost,
        if(pricing = 'free', toDecimal128(0, 12), entries.list_cost) as list_cost,
        if(pricing = 'free', toDecimal128(0, 12), entries.contracted_cost) as contracted_cost,
        if(pricing = 'free', toDecimal128(0, 12), entries.effective_cost) as effective_cost,
        if(pricing = 'free', toDecimal128(0, 12), entries.billed_cost) as billed_cost

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

    left any join restatements
        on
            counted.organization = restatements.organization
            and counted.occurred_at = restatements.occurred_at
            and counted.log_partition = restatements.log_partition
            and counted.log_offset = restatements.first_offset
            and counted.event_index = restatements.first_index

)

select * from final
