-- Organization and time are in the join, so that a filter on them reaches both sides. A reversal has the time
-- of the call that it takes back, and its entries belong to that call: the sums are net of it.
with

calls as (

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
        reversals.reason as corrected_by,
        calls.latency_ms as latency_ms,
        calls.pricing as pricing,
        calls.unpriced_reason as unpriced_reason,
        calls.currency as currency,
        entries.tokens as tokens,
        entries.unpriced_quantity as unpriced_quantity,
        entries.list_cost as list_cost,
        entries.contracted_cost as contracted_cost,
        entries.effective_cost as effective_cost,
        entries.billed_cost as billed_cost

    from calls

    left join entries
        on
            calls.organization = entries.organization
            and calls.occurred_at = entries.occurred_at
            and calls.log_partition = entries.log_partition
            and calls.log_offset = entries.call_offset
            and calls.event_index = entries.call_index

    left any join reversals
        on
            calls.organization = reversals.organization
            and calls.occurred_at = reversals.occurred_at
            and calls.log_partition = reversals.log_partition
            and calls.log_offset = reversals.first_offset
            and calls.event_index = reversals.first_index

)

select * from final
