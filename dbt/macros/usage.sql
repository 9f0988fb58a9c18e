{#
    One row per entry and one per call, in one shape, so that sums over any dimension need no join. A quarantined call
    has a row of its own class, and is in no count but its own. `columns` are those that both have. A macro and no
    model: ClickHouse plans each view anew for each query.
#}
{% macro usage_rows(columns) %}
    select
        {{ columns }},
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
        list_cost - effective_cost as contract_savings,
        toInt64(0) as calls,
        toInt64(0) as unknown_calls,
        toInt64(0) as unpriced_calls,
        toInt64(0) as quarantined_calls,
        toInt64(0) as unbounded_calls,
        toInt64(0) as unknown_tokens,
        null as greatest_unpriced_cost,
        null as saved_cost

    from {{ ref('int_entries_measured') }}

    union all

    select
        {{ columns }},
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
        null as contract_savings,
        calls,
        unknown_calls,
        unpriced_calls,
        quarantined_calls,
        unbounded_calls,
        unknown_tokens,
        greatest_unpriced_cost,
        saved_cost

    from {{ ref('int_calls_measured') }}
{% endmacro %}
