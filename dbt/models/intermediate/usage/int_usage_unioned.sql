-- One row per call and one per entry, in one shape, so that sums over any dimension need no join. A
-- quarantined call has a row of its own class, and is in no count but its own.
with

entries as (

    select
        log_partition,
        log_offset,
        accepted_at,
        occurred_at,
        organization,
        {{ usage_dimensions() }},
        toLowCardinality(billing_month) as billing_month,
        currency,
        class,
        quantity,
        tokens,
        unpriced_quantity,
        unpriced_tokens,
        list_cost,
        contracted_cost,
        effective_cost,
        billed_cost,
        toInt64(0) as calls,
        toInt64(0) as unknown_calls,
        toInt64(0) as unpriced_calls,
        toInt64(0) as quarantined_calls,
        toInt64(0) as unbounded_calls,
        toInt64(0) as unknown_tokens,
        null as greatest_unpriced_cost,
        null as saved_cost

    from {{ ref('int_entries_measured') }}

),

calls as (

    select
        log_partition,
        log_offset,
        accepted_at,
        occurred_at,
        organization,
        {{ usage_dimensions() }},
        toLowCardinality(billing_month) as billing_month,
        currency,
        toLowCardinality(if(quarantined_calls = 0, 'call', 'quarantined')) as class,
        calls + quarantined_calls as quantity,
        0 as tokens,
        0 as unpriced_quantity,
        0 as unpriced_tokens,
        null as list_cost,
        null as contracted_cost,
        null as effective_cost,
        null as billed_cost,
        calls,
        unknown_calls,
        unpriced_calls,
        quarantined_calls,
        unbounded_calls,
        unknown_tokens,
        greatest_unpriced_cost,
        saved_cost

    from {{ ref('int_calls_measured') }}

),

unioned as (

    select * from entries

    union all

    select * from calls

)

select * from unioned
