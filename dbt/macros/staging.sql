{#
    The columns of the sink's tables under the names that the models give them. Macros: models that pages read select from
    the tables themselves, since ClickHouse plans each view below a view anew, which takes longer than most reads.
#}

{# Those of tally.events, but for `calls` and `unknown_tokens`, which models count in their own way. #}
{% macro staged_events(events) %}
    {{ staged_position(events) }},
    {{ events }}.outcome as outcome,
    {{ events }}.kind as kind,
    {{ events }}.reason as reason,
    {{ events }}.detail as detail,
    {{ events }}.original_offset as first_offset,
    {{ events }}.original_index as first_index,
    {{ staged_dimensions(events) }},
    {{ events }}.root_call as root_call,
    {{ events }}.parent_call as parent_call,
    {{ events }}.tool as tool,
    {{ events }}.tool_arguments_hash as tool_arguments_hash,
    {{ events }}.tool_result_hash as tool_result_hash,
    {{ events }}.latency_ms as latency_ms,
    {{ events }}.adapter as adapter,
    {{ events }}.left_out as left_out,
    {{ events }}.usage_source as usage_source,
    {{ events }}.period_s as period_s,
    {{ events }}.pricing as pricing,
    {{ events }}.unpriced_reason as unpriced_reason,
    {{ events }}.currency as currency,
    {{ events }}.price_document as price_document,
    {{ events }}.price_id as price_id,
    {{ events }}.tier_basis as tier_basis,
    {{ events }}.greatest_unpriced_cost as greatest_unpriced_cost,
    {{ events }}.saved_cost as saved_cost
{% endmacro %}

{# Those of tally.entries. Of a reversal, the entry that it takes back; of a restatement, the one that it restates. #}
{% macro staged_entries(entries) %}
    {{ staged_position(entries) }},
    {{ entries }}.outcome as outcome,
    {{ entries }}.original_offset as reversed_offset,
    {{ entries }}.original_index as reversed_index,
    {{ staged_dimensions(entries) }},
    {{ entries }}.class as class,
    {{ entries }}.quantity as quantity,
    {{ entries }}.unit_price as unit_price,
    {{ entries }}.list_cost as list_cost,
    {{ entries }}.contracted_cost as contracted_cost,
    {{ entries }}.effective_cost as effective_cost,
    {{ entries }}.billed_cost as billed_cost,
    {{ entries }}.greatest_cost as greatest_unpriced_cost,
    {{ entries }}.currency as currency,
    {{ entries }}.price_document as price_document,
    {{ entries }}.price_id as price_id,
    {{ entries }}.tier_basis as tier_basis,
    {{ entries }}.contract_id as contract_id
{% endmacro %}

{# What both have: position on the log, identity, and the month that is billed. #}
{% macro staged_position(table) %}
    {{- position_columns(table) | map('join', ' as ') | join(', ') -}}
{% endmacro %}

{% macro position_columns(table) %}
    {% set month = "formatDateTime(" ~ table ~ ".`time`, '%Y-%m', 'UTC')" %}
    {{ return([
        (table ~ '.`partition`', 'log_partition'),
        (table ~ '.`offset`', 'log_offset'),
        (table ~ '.seq', 'seq'),
        (table ~ '.event_index', 'event_index'),
        (table ~ '.accepted_at', 'accepted_at'),
        (table ~ '.organization', 'organization'),
        (table ~ '.source', 'event_source'),
        (table ~ '.id', 'event_id'),
        (table ~ '.`time`', 'occurred_at'),
        ('if(' ~ table ~ ".billing_month = '', " ~ month ~ ', ' ~ table ~ '.billing_month)', 'billing_month'),
    ]) }}
{% endmacro %}

{# Those of an event that say what became of it, but for the outcome. #}
{% macro outcome_columns(events) %}
    {{ events }}.`partition` as log_partition,
    {{ events }}.`offset` as log_offset,
    {{ events }}.event_index as event_index,
    {{ events }}.accepted_at as accepted_at,
    {{ events }}.`time` as occurred_at,
    {{ events }}.organization as organization,
    {{ events }}.source as event_source,
    {{ events }}.id as event_id,
    {{ events }}.kind as kind,
    {{ events }}.reason as reason,
    {{ events }}.detail as detail,
    {{ events }}.original_offset as first_offset,
    {{ events }}.original_index as first_index,
    {{ events }}.currency as currency,
    {{ events }}.unknown_tokens as unknown_tokens,
    {{ events }}.greatest_unpriced_cost as greatest_unpriced_cost
{% endmacro %}
