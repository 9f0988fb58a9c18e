-- Most calls are never amended: they are read from the rollup as they are. The others, and those beyond the
-- rollup, are grouped with what amends them: a reversal takes a call back, and the last restatement has its
-- price. Organization and time are in the group, so that a filter on them reaches its rows.
with

{{ absorbed_offsets(ref('rollup_calls')) }} as absorbed,

amended as (

    select
        log_partition,
        call_offset,
        call_index

    from {{ ref('rollup_calls') }}

    where is_amendment

    union all

    select
        events.`partition` as log_partition,
        coalesce(events.original_offset, 0) as call_offset,
        coalesce(events.original_index, 0) as call_index

    from {{ source('tally', 'events') }} as events

    where
        events.outcome in ('reversal', 'restatement')
        and {{ is_beyond('absorbed', 'events') }}

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

    from {{ ref('rollup_calls') }}

    where
        not is_amendment
        and (log_partition, log_offset, event_index) not in (select amended.* from amended)

),

versions as (

    select * except (next_offset) from {{ ref('rollup_calls') }}

    where is_amendment or (log_partition, log_offset, event_index) in (select amended.* from amended)

    union all

    select * from {{ ref('int_calls_beyond') }}

),

grouped as (

    select
        versions.log_partition as log_partition,
        versions.call_offset as log_offset,
        versions.call_index as event_index,
        anyIf(versions.accepted_at, not versions.is_amendment) as accepted_at,
        versions.occurred_at as occurred_at,
        versions.organization as organization,
        {{ call_texts('event_source') }},
        anyIf(versions.event_id, not versions.is_amendment) as event_id,
        anyIf(versions.session, not versions.is_amendment) as session,
        anyIf(versions.root_call, not versions.is_amendment) as root_call,
        anyIf(versions.parent_call, not versions.is_amendment) as parent_call,
        {{ call_texts(usage_dimensions()) }},
        {{ call_texts('status') }},
        toLowCardinality(argMaxIf(
            versions.reason,
            (versions.log_offset, versions.seq),
            versions.outcome = 'reversal' and versions.reason != 'restatement'
        )) as corrected_by,
        anyIf(versions.latency_ms, not versions.is_amendment) as latency_ms,
        if(corrected_by = '', anyIf(versions.calls, not versions.is_amendment), 0) as calls,
        anyIf(versions.period_s, not versions.is_amendment) as period_s,
        {{ call_texts('usage_source') }},
        toLowCardinality({{ last_price('pricing') }}) as pricing,
        toLowCardinality({{ last_price('unpriced_reason') }}) as unpriced_reason,
        toLowCardinality({{ last_price('tier_basis') }}) as tier_basis,
        toLowCardinality({{ last_price('currency') }}) as currency,
        sum(versions.tokens) as tokens,
        if(corrected_by = '', {{ last_price('unknown_tokens') }}, 0) as unknown_tokens,
        sum(versions.unpriced_quantity) as unpriced_quantity,
        if(corrected_by = '', {{ last_price('greatest_unpriced_cost') }}, null) as greatest_unpriced_cost,
        if(corrected_by = '', {{ last_price('saved_cost') }}, null) as saved_cost,
        if(pricing = 'free', toDecimal128(0, 12), sum(versions.list_cost)) as list_cost,
        if(pricing = 'free', toDecimal128(0, 12), sum(versions.contracted_cost)) as contracted_cost,
        if(pricing = 'free', toDecimal128(0, 12), sum(versions.effective_cost)) as effective_cost,
        if(pricing = 'free', toDecimal128(0, 12), sum(versions.billed_cost)) as billed_cost

    from versions

    group by
        versions.organization,
        versions.occurred_at,
        versions.log_partition,
        versions.call_offset,
        versions.call_index

    having countIf(not versions.is_amendment) > 0

),

final as (

    select * from unamended_calls

    union all

    select * from grouped

)

select
    concat(toString(log_partition), '-', toString(log_offset), '-', toString(event_index)) as call_key,
    *

from final
