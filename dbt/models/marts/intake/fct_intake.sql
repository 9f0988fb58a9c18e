with

intake as (

    select
        *,
        toDate(accepted_at, 'UTC') as acceptance_day

    from {{ ref('int_intake_unioned') }}

),

summed as (

    select
        acceptance_day,
        organization,
        channel,
        sum(received) as received,
        sum(rejected) as rejected,
        toUInt64(sum(facts)) as accepted,
        toUInt64(sumIf(facts, outcome = 'counted')) as counted,
        toUInt64(sumIf(facts, outcome = 'duplicate')) as duplicate,
        toUInt64(sumIf(facts, outcome = 'conflict')) as conflict,
        toUInt64(sumIf(facts, outcome = 'quarantined')) as quarantined,
        toUInt64(sumIf(facts, outcome = 'held')) as held,
        toUInt64(sumIf(unbounded_facts, outcome = 'quarantined')) as unbounded_quarantined,
        sumMapIf(
            map(currency::String, coalesce(greatest_unpriced_cost, 0)::Decimal(38, 12)),
            outcome = 'quarantined' and greatest_unpriced_cost is not null
        ) as greatest_quarantined_costs

    from intake

    group by
        acceptance_day,
        organization,
        channel

    having received > 0

),

final as (

    select
        lower(hex(sipHash128(acceptance_day, organization, channel))) as intake_key,
        *

    from summed

)

select * from final
