-- One row per record with the number of its facts, and one per fact with its outcome and channel.
with

records as (

    select * from {{ ref('stg_tally__records') }}

),

facts as (

    select * from {{ ref('int_outcomes_current') }}

    where kind in ('inference', 'observation', 'correction', 'unknown')

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
        facts.greatest_unpriced_cost as greatest_unpriced_cost

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
        null as greatest_unpriced_cost

    from records

),

unioned as (

    select * from arrivals

    union all

    select * from outcomes

)

select * from unioned
