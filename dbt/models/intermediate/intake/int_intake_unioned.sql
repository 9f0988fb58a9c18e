-- One row per record with the number of its facts, and one per record, outcome and currency of them with the
-- record's channel.
with

records as (

    select * from {{ ref('stg_tally__records') }}

),

facts as (

    select
        log_partition,
        log_offset,
        outcome,
        currency,
        any(accepted_at) as accepted_at,
        toLowCardinality(any(organization)) as organization,
        toInt64(count()) as facts,
        toInt64(countIf(greatest_unpriced_cost is null)) as unbounded_facts,
        sum(greatest_unpriced_cost) as greatest_cost

    from {{ ref('int_outcomes_current') }}

    where kind in ('inference', 'observation', 'correction', 'unknown')

    group by
        log_partition,
        log_offset,
        outcome,
        currency

),

outcomes as (

    select
        facts.accepted_at as accepted_at,
        facts.organization as organization,
        records.channel as channel,
        0 as received,
        0 as rejected,
        facts.outcome as outcome,
        facts.currency as currency,
        facts.facts as facts,
        facts.unbounded_facts as unbounded_facts,
        facts.greatest_cost as greatest_unpriced_cost

    from facts

    left any join records
        on
            facts.log_partition = records.log_partition
            and facts.log_offset = records.log_offset

),

arrivals as (

    select
        accepted_at,
        organization,
        channel,
        received,
        refused as rejected,
        '' as outcome,
        '' as currency,
        0 as facts,
        0 as unbounded_facts,
        null as greatest_unpriced_cost

    from records

),

unioned as (

    select * from arrivals

    union all

    select * from outcomes

)

select * from unioned
