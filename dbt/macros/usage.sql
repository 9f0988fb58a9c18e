{#
    Rows of calls and entries, selected from the sink's tables themselves: ClickHouse plans each view below a view anew for
    each query, which takes longer than reading what a rollup has not absorbed. `absorbed` names the positions beyond which
    rows are read; all are where it is none.
#}

{# Entries with the measures that may be summed. #}
{% macro measured_entries() %}
    select
        {{ staged_entries('entries') }},
        {{ model_of('entries') }},
        {{ entry_measures() }}

    from {{ source('tally', 'entries') }} as entries
{% endmacro %}

{% macro entry_measures() %}
    {{ tokens_of('entries') }} as tokens,
    if(entries.contracted_cost is null, entries.quantity, 0) as unpriced_quantity,
    if(unpriced_quantity = 0, 0, tokens) as unpriced_tokens
{% endmacro %}

{# Inferences that are counted or quarantined, and what takes their place or takes them back. #}
{% macro measured_calls() %}
    select
        {{ staged_events('events') }},
        {{ model_of('events') }},
        {{ call_measures() }}

    from {{ source('tally', 'events') }} as events

    where {{ is_call('events') }}
{% endmacro %}

{% macro call_measures() %}
    {% set calls = count_calls('events') %}
    toInt64(if({{ is_quarantined('events') }}, 0, {{ calls }})) as calls,
    toInt64(
        if(events.pricing = 'unknown' and not {{ is_quarantined('events') }}, {{ calls }}, 0)
    ) as unknown_calls,
    toInt64(if(events.pricing in ('unpriced', 'partially_priced'), {{ calls }}, 0)) as unpriced_calls,
    toInt64(if({{ is_quarantined('events') }}, {{ calls }}, 0)) as quarantined_calls,
    toInt64(
        if(
            (
                {{ is_quarantined('events') }}
                or events.pricing in ('unknown', 'unpriced', 'partially_priced')
            )
            and events.greatest_unpriced_cost is null,
            {{ calls }},
            0
        )
    ) as unbounded_calls,
    {{ told_tokens('events') }} as unknown_tokens
{% endmacro %}

{#
    Counted inferences, what takes their place and what takes them back, each with the sums of its own entries. Of a build
    both sides of the join are those of its positions: else it would sum the entries of the whole ledger.
#}
{% macro summed_calls(absorbed=none, is_build=false) %}
    select
        accurateCast(events.outcome in ('reversal', 'restatement'), 'UInt8') as is_amendment,
        events.`partition` as log_partition,
        events.`offset` as log_offset,
        events.seq as seq,
        events.event_index as event_index,
        events.accepted_at as accepted_at,
        events.`time` as occurred_at,
        events.organization as organization,
        events.source as event_source,
        events.id as event_id,
        events.outcome as outcome,
        events.reason as reason,
        events.original_offset as first_offset,
        events.original_index as first_index,
        if(is_amendment, coalesce(events.original_offset, 0), events.`offset`) as call_offset,
        if(is_amendment, coalesce(events.original_index, 0), events.event_index) as call_index,
        events.session as session,
        events.root_call as root_call,
        events.parent_call as parent_call,
        {{ source_dimensions('events') }},
        events.user as user_pseudonym,
        events.`key` as key_fingerprint,
        events.tool as tool,
        events.tool_arguments_hash as tool_arguments_hash,
        events.tool_result_hash as tool_result_hash,
        events.status as status,
        events.latency_ms as latency_ms,
        {{ count_calls('events') }} as calls,
        events.period_s as period_s,
        events.usage_source as usage_source,
        events.pricing as pricing,
        events.unpriced_reason as unpriced_reason,
        events.tier_basis as tier_basis,
        events.currency as currency,
        sums.tokens as tokens,
        {{ told_tokens('events') }} as unknown_tokens,
        sums.unpriced_quantity as unpriced_quantity,
        sums.unpriced_tokens as unpriced_tokens,
        events.greatest_unpriced_cost as greatest_unpriced_cost,
        events.saved_cost as saved_cost,
        sums.list_cost as list_cost,
        sums.contracted_cost as contracted_cost,
        sums.effective_cost as effective_cost,
        sums.billed_cost as billed_cost

    from {{ source('tally', 'events') }} as events

    left any join (
        select
            entries.`partition` as log_partition,
            entries.`offset` as log_offset,
            entries.seq as entry_seq,
            sum({{ tokens_of('entries') }}) as tokens,
            sum(if(entries.contracted_cost is null, entries.quantity, 0)) as unpriced_quantity,
            sum(if(entries.contracted_cost is null, {{ tokens_of('entries') }}, 0)) as unpriced_tokens,
            sum(entries.list_cost) as list_cost,
            sum(entries.contracted_cost) as contracted_cost,
            sum(entries.effective_cost) as effective_cost,
            sum(entries.billed_cost) as billed_cost

        from {{ source('tally', 'entries') }} as entries

        {% if is_build %}where {{ is_pending() }}{% elif absorbed %}where {{ is_beyond(absorbed, 'entries') }}{% endif %}

        group by
            log_partition,
            log_offset,
            entry_seq
    ) as sums
        on
            events.`partition` = sums.log_partition
            and events.`offset` = sums.log_offset
            and events.seq = sums.entry_seq

    where
        {{ is_call('events') }}
        and not {{ is_quarantined('events') }}
        {% if is_build %}and {{ is_pending() }}{% elif absorbed %}and {{ is_beyond(absorbed, 'events') }}{% endif %}
{% endmacro %}

{#
    One row per entry and one per call, in one shape, so that sums over any dimension need no join. A quarantined call
    has a row of its own class, and is in no count but its own. `columns` are those that both have: others are left out,
    since ClickHouse plans each column of a view for each query.
#}
{% macro usage_rows(columns, absorbed=none) %}
    select
        {{ shared_columns('entries', columns) }},
        entries.currency as currency,
        entries.class as class,
        entries.quantity as quantity,
        {{ entry_measures() }},
        entries.list_cost as list_cost,
        entries.contracted_cost as contracted_cost,
        entries.effective_cost as effective_cost,
        entries.billed_cost as billed_cost,
        entries.list_cost - entries.effective_cost as contract_savings,
        toInt64(0) as calls,
        toInt64(0) as unknown_calls,
        toInt64(0) as unpriced_calls,
        toInt64(0) as quarantined_calls,
        toInt64(0) as unbounded_calls,
        toInt64(0) as unknown_tokens,
        null as greatest_unpriced_cost,
        null as saved_cost

    from {{ source('tally', 'entries') }} as entries

    {{ 'where ' ~ is_beyond(absorbed, 'entries') if absorbed }}

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

    from (
        select
            {{ shared_columns('events', columns) }},
            events.currency as currency,
            {{ call_measures() }},
            events.greatest_unpriced_cost as greatest_unpriced_cost,
            events.saved_cost as saved_cost

        from {{ source('tally', 'events') }} as events

        where {{ is_call('events') }}{{ ' and ' ~ is_beyond(absorbed, 'events') if absorbed }}
    )
{% endmacro %}

{# Those of these columns that a table of the sink has, under their names in the models. #}
{% macro shared_columns(table, columns) %}
    {% set staged = [] %}
    {% for name in columns.split(', ') %}
        {% if name == 'model' %}
            {% do staged.append(model_of(table)) %}
        {% else %}
            {% for expression, column in position_columns(table) + dimension_columns(table) if column == name %}
                {% do staged.append(expression ~ ' as ' ~ name) %}
            {% endfor %}
        {% endif %}
    {% endfor %}
    {{ return(staged | join(', ')) }}
{% endmacro %}

{# The model that answered, else the one that was requested. #}
{% macro model_of(table) %}
    {{- 'if(' ~ table ~ ".model_resolved = '', " ~ table ~ '.model, ' ~ table ~ '.model_resolved) as model' -}}
{% endmacro %}

{# The dimensions that costs are summed by, of a table of the sink. #}
{% macro source_dimensions(table) %}
    {{- usage_dimensions(table) | replace(table ~ '.model as model', model_of(table)) -}}
{% endmacro %}

{# The tokens of an entry: nothing of one that has another unit. #}
{% macro tokens_of(entries) %}
    {%- set units = ['requests', 'web_searches', 'seconds', 'images', 'characters', 'pages', 'search_units'] -%}
    {{- 'if(' ~ entries ~ ".class in ('" ~ units | join("', '") ~ "'), 0, " ~ entries ~ '.quantity)' -}}
{% endmacro %}

{# Conditions: an event is an inference that is counted or quarantined, or takes the place of one or takes it back; such
   an event is of a call in quarantine. #}
{% macro is_call(events) %}
    {{- events ~ ".outcome in ('counted', 'quarantined', 'reversal', 'replacement', 'release', 'restatement') and "
        ~ events ~ ".kind = 'inference' and (" ~ events ~ ".outcome != 'release' or " ~ events ~ ".pricing != '')" -}}
{% endmacro %}

{% macro is_quarantined(events) %}
    {{- '(' ~ events ~ ".outcome = 'quarantined' or (" ~ events ~ ".outcome in ('reversal', 'restatement') and "
        ~ events ~ ".unpriced_reason = 'quarantined'))" -}}
{% endmacro %}

{# The calls of an event: an aggregate stands for several, and a reversal takes them back. #}
{% macro count_calls(events) %}
    {{- 'if(' ~ events ~ ".outcome = 'reversal', -1, 1) * toInt64(coalesce(nullIf(" ~ events ~ '.calls, 0), 1))' -}}
{% endmacro %}

{# The tokens that a source tells of usage whose cost is not known. #}
{% macro told_tokens(events) %}
    {{- 'toInt64(coalesce(' ~ events ~ '.unknown_tokens, 0))' -}}
{% endmacro %}
