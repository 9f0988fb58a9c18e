{#
    Spend as budgets count it (docs/rules.md, R13). The rollup holds it by tick and scope. A tick is a sixtieth of a day, so
    the buckets of a window of whole days are whole ticks.
#}

{% macro tick_s() %}
    {{ return(1440) }}
{% endmacro %}

{# Scopes of these dimensions have so few calls each that the rollup would be as long as the ledger: it has none of them. #}
{% macro unrolled_dimensions() %}
    {{ return("'user', 'session'") }}
{% endmacro %}

{% macro rolled_dimensions() %}
    {% set dimensions = [] %}
    {% for dimension, column in budget_columns() if "'" ~ dimension ~ "'" not in unrolled_dimensions() %}
        {% do dimensions.append(dimension) %}
    {% endfor %}
    {{ return(dimensions) }}
{% endmacro %}

{# Branches of multiIf: the value that a row has in the dimension that a column names, one of these or of all, as text. #}
{% macro scope_branches(dimension_column, dimensions=none) %}
    {% set branches = [] %}
    {% for dimension, column in budget_columns() if not dimensions or dimension in dimensions %}
        {% do branches.append(dimension_column ~ " = '" ~ dimension ~ "', " ~ column ~ '::String') %}
    {% endfor %}
    {{ return(branches | join(', ')) }}
{% endmacro %}

{# The measures of spend, as sums. #}
{% macro spend_sums(table) %}
    sum({{ table }}.spend) as spend,
    sum({{ table }}.greatest_amount) as greatest_amount,
    sum({{ table }}.unknown_calls) as unknown_calls,
    sum({{ table }}.unknown_tokens) as unknown_tokens,
    sum({{ table }}.unbounded_calls) as unbounded_calls
{% endmacro %}

{# A measure of the buckets of a window, by bucket. #}
{% macro by_bucket(measure) %}
    {{- return(
        'mapSort(mapFromArrays(groupArrayIf(bucket, is_in_window), groupArrayIf(' ~ measure ~ ', is_in_window)))'
    ) -}}
{% endmacro %}

{#
    What budgets count: a row per entry that is billed something or has no price, and one per call whose spend is not known,
    also of one in quarantine whose totals contradict its classes. A call without a price has no currency and counts in
    every budget of its scopes; one on a customer's own key costs nothing. A reversal or a restatement has the position of
    the call that it takes back or restates. Bounds of calls that were quarantined ahead of the log's time are in no window.
    `condition` limits the rows: `rows` in it stands for the table.
#}
{% macro budget_spends(condition) %}
    select
        {{ spend_position('entries') }},
        coalesce(entries.billed_cost, 0)::Decimal(38, 12) as spend,
        0::Decimal(38, 12) as greatest_amount,
        toInt64(0) as unknown_calls,
        if(
            entries.payer = 'customer' or entries.contracted_cost is not null, 0, {{ tokens_of('entries') }}
        ) as unknown_tokens,
        toInt64(0) as unbounded_calls

    from {{ source('tally', 'entries') }} as entries

    where ({{ condition | replace('rows.', 'entries.') }}) and (spend != 0 or unknown_tokens != 0)

    union all

    select
        {{ spend_position('events') }},
        0::Decimal(38, 12) as spend,
        coalesce(events.greatest_unpriced_cost, 0)::Decimal(38, 12) as greatest_amount,
        {{ count_calls('events') }} as unknown_calls,
        {{ told_tokens('events') }} as unknown_tokens,
        if(events.greatest_unpriced_cost is null, unknown_calls, 0) as unbounded_calls

    from {{ source('tally', 'events') }} as events

    where
        ({{ condition | replace('rows.', 'events.') }})
        and {{ is_call('events') }}
        and events.payer != 'customer'
        and events.pricing in ('unknown', 'unpriced', 'partially_priced')
        and (
            not {{ is_quarantined('events') }}
            or (
                (events.outcome != 'quarantined' or events.reason = 'token_totals_mismatch')
                and (log_partition, call_offset, call_index) not in (
                    select
                        ahead.`partition`,
                        ahead.`offset`,
                        ahead.event_index
                    from {{ source('tally', 'events') }} as ahead
                    where
                        ahead.kind = 'inference'
                        and ahead.outcome = 'quarantined'
                        and ahead.`time` > ahead.accepted_at + interval 300 second
                )
            )
        )
{% endmacro %}

{# The position, the time, the currency and the scopes of a row of spend. #}
{% macro spend_position(table) %}
    {{ table }}.`partition` as log_partition,
    {{ table }}.`offset` as log_offset,
    {% for name, own in [('offset', '`offset`'), ('index', 'event_index')] %}
    if(
        {{ table }}.outcome in ('reversal', 'restatement'),
        coalesce({{ table }}.original_{{ name }}, {{ table }}.{{ own }}),
        {{ table }}.{{ own }}
    ) as call_{{ name }},
    {% endfor %}
    toUnixTimestamp64Micro({{ table }}.`time`) as occurred_us,
    {{ table }}.currency as currency,
    {% for dimension, column in budget_columns() %}
    {{ table }}.{{ column }} as {{ column }}{{ '' if loop.last else ',' }}
    {% endfor %}
{% endmacro %}

{# These by scope and tick, as the rollup has them: summed by all rolled dimensions first, so that fewer rows are multiplied. #}
{% macro budget_ticks(condition) %}
    select
        scoped.log_partition as log_partition,
        scoped.organization as organization,
        toLowCardinality(scoped.dimension) as dimension,
        scoped.scope_value as scope_value,
        scoped.tick as tick,
        scoped.currency as currency,
        {{ spend_sums('scoped') }},
        max(scoped.last_spent_us) as last_spent_us,
        min(scoped.first_offset) as first_offset,
        max(scoped.last_offset) as last_offset,
        max(scoped.next_offset) as next_offset

    from (
        select
            *,
            arrayJoin(['{{ rolled_dimensions() | join("', '") }}']) as dimension,
            multiIf(
                {{ scope_branches('dimension', rolled_dimensions()) }},
                ''
            ) as scope_value

        from (
            select
                spends.log_partition as log_partition,
                {% for dimension, column in budget_columns() if dimension in rolled_dimensions() %}
                spends.{{ column }} as {{ column }},
                {% endfor %}
                spends.currency as currency,
                intDiv(spends.occurred_us, {{ 1000000 * tick_s() }}) as tick,
                {{ spend_sums('spends') }},
                max(spends.occurred_us) as last_spent_us,
                min(spends.call_offset) as first_offset,
                max(spends.call_offset) as last_offset,
                max(spends.log_offset) + 1 as next_offset

            from ({{ budget_spends(condition) }}) as spends

            group by all
        )
    ) as scoped

    where scope_value != '' or dimension = 'organization'

    group by all
{% endmacro %}
