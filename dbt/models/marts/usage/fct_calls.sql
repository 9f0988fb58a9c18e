-- Most calls are never amended: they need no join, which would be most of the time of a list of calls. To the
-- others comes what amends them: a reversal takes a call back, and the last restatement has its price.
-- Organization and time are in the join, so that a filter on them reaches both sides.
with

{{ absorbed_offsets(ref('rollup_calls')) }} as absorbed,

calls as (

    select * from {{ ref('int_calls_unioned') }}

),

-- read apart, without costs, since each query plans it anew
amended as (

    select
        log_partition,
        call_offset,
        call_index

    from {{ ref('rollup_calls') }}

    where is_amendment

    union all

    select
        log_partition,
        coalesce(first_offset, 0) as call_offset,
        coalesce(first_index, 0) as call_index

    from {{ ref('stg_tally__events') }}

    where
        outcome in ('reversal', 'restatement')
        and {{ is_beyond('absorbed') }}

),

unamended_calls as (

    select
        log_partition,
        log_offset,
        event_index,
        accepted_at,
        occurred_at,
        organization,
        event_source,
        event_id,
        session,
        root_call,
        parent_call,
        {{ usage_dimensions() }},
        status,
        toLowCardinality('') as corrected_by,
        latency_ms,
        calls,
        period_s,
        usage_source,
        pricing,
        unpriced_reason,
        tier_basis,
        currency,
        tokens,
        unknown_tokens,
        unpriced_quantity,
        greatest_unpriced_cost,
        saved_cost,
        {{ cost_of_call('list_cost') }},
        {{ cost_of_call('contracted_cost') }},
        {{ cost_of_call('effective_cost') }},
        {{ cost_of_call('billed_cost') }}

    from calls

    where
        not is_amendment
        and (log_partition, log_offset, event_index) not in (select amended.* from amended)

),

counted as (

    select * from calls

    where
        not is_amendment
        and (log_partition, log_offset, event_index) in (select amended.* from amended)

),

amendments as (

    select
        organization,
        occurred_at,
        log_partition,
        call_offset,
        call_index,
        argMaxIf(
            reason, (log_offset, seq), outcome = 'reversal' and reason != 'restatement'
        ) as corrected_by,
        argMaxIf(pricing, (log_offset, seq), outcome = 'restatement') as pricing,
        argMaxIf(unpriced_reason, (log_offset, seq), outcome = 'restatement') as unpriced_reason,
        argMaxIf(tier_basis, (log_offset, seq), outcome = 'restatement') as tier_basis,
        argMaxIf(currency, (log_offset, seq), outcome = 'restatement') as currency,
        argMaxIf(unknown_tokens, (log_offset, seq), outcome = 'restatement') as unknown_tokens,
        tupleElement(
            argMaxIf(tuple(greatest_unpriced_cost), (log_offset, seq), outcome = 'restatement'), 1
        ) as greatest_unpriced_cost,
        tupleElement(
            argMaxIf(tuple(saved_cost), (log_offset, seq), outcome = 'restatement'), 1
        ) as saved_cost,
        sum(tokens) as tokens,
        sum(unpriced_quantity) as unpriced_quantity,
        sum(list_cost) as list_cost,
        sum(contracted_cost) as contracted_cost,
        sum(effective_cost) as effective_cost,
        sum(billed_cost) as billed_cost

    from calls

    where is_amendment

    group by
        organization,
        occurred_at,
        log_partition,
        call_offset,
        call_index

),

amended_calls as (

    select
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
        toLowCardinality(amendments.corrected_by) as corrected_by,
        counted.latency_ms as latency_ms,
        if(amendments.corrected_by = '', counted.calls, 0) as calls,
        counted.period_s as period_s,
        counted.usage_source as usage_source,
        toLowCardinality(
            if(amendments.pricing = '', counted.pricing, amendments.pricing)
        ) as pricing,
        toLowCardinality(
            if(amendments.pricing = '', counted.unpriced_reason, amendments.unpriced_reason)
        ) as unpriced_reason,
        toLowCardinality(
            if(amendments.pricing = '', counted.tier_basis, amendments.tier_basis)
        ) as tier_basis,
        toLowCardinality(
            if(amendments.pricing = '', counted.currency, amendments.currency)
        ) as currency,
        counted.tokens + amendments.tokens as tokens,
        multiIf(
            amendments.corrected_by != '', 0,
            amendments.pricing = '', counted.unknown_tokens,
            amendments.unknown_tokens
        ) as unknown_tokens,
        counted.unpriced_quantity + amendments.unpriced_quantity as unpriced_quantity,
        multiIf(
            amendments.corrected_by != '', null,
            amendments.pricing = '', counted.greatest_unpriced_cost,
            amendments.greatest_unpriced_cost
        ) as greatest_unpriced_cost,
        multiIf(
            amendments.corrected_by != '', null,
            amendments.pricing = '', counted.saved_cost,
            amendments.saved_cost
        ) as saved_cost,
        {{ cost_of_amended_call('list_cost') }},
        {{ cost_of_amended_call('contracted_cost') }},
        {{ cost_of_amended_call('effective_cost') }},
        {{ cost_of_amended_call('billed_cost') }}

    from counted

    left any join amendments
        on
            counted.organization = amendments.organization
            and counted.occurred_at = amendments.occurred_at
            and counted.log_partition = amendments.log_partition
            and counted.log_offset = amendments.call_offset
            and counted.event_index = amendments.call_index

),

final as (

    select * from unamended_calls

    union all

    select * from amended_calls

)

select
    concat(toString(log_partition), '-', toString(log_offset), '-', toString(event_index)) as call_key,
    *

from final
