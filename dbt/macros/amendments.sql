{# What amends a call, of all its amendments: a reversal takes a call back, and the last restatement has its price. #}
{% macro amended_values() %}
    argMaxIf(reason, (log_offset, seq), outcome = 'reversal' and reason != 'restatement') as corrected_by,
    {% for name in ['pricing', 'unpriced_reason', 'tier_basis', 'currency', 'unknown_tokens'] %}
    argMaxIf({{ name }}, (log_offset, seq), outcome = 'restatement') as {{ name }},
    {% endfor %}
    {% for name in ['greatest_unpriced_cost', 'saved_cost'] %}
    tupleElement(argMaxIf(tuple({{ name }}), (log_offset, seq), outcome = 'restatement'), 1) as {{ name }},
    {% endfor %}
    {% for name in ['tokens', 'unpriced_quantity', 'list_cost', 'contracted_cost', 'effective_cost', 'billed_cost'] %}
    sum({{ name }}) as {{ name }}{{ '' if loop.last else ',' }}
    {% endfor %}
{% endmacro %}

{# What a call and its amendments say together. A call without amendments is as it came. #}
{% macro amended_columns(calls) %}
    {% set corrected, restated = "amendments.corrected_by != ''", "amendments.pricing != ''" %}
    toLowCardinality(amendments.corrected_by) as corrected_by,
    {{ calls }}.latency_ms as latency_ms,
    if({{ corrected }}, 0, {{ calls }}.calls) as calls,
    {{ calls }}.period_s as period_s,
    {{ calls }}.usage_source as usage_source,
    {% for name in ['pricing', 'currency'] %}
    toLowCardinality(if({{ restated }}, amendments.{{ name }}, {{ calls }}.{{ name }})) as {{ name }},
    {% endfor %}
    {{ calls }}.tokens + amendments.tokens as tokens,
    multiIf(
        {{ corrected }}, 0, {{ restated }}, amendments.unknown_tokens, {{ calls }}.unknown_tokens
    ) as unknown_tokens,
    {{ calls }}.unpriced_quantity + amendments.unpriced_quantity as unpriced_quantity,
    {% for name in ['greatest_unpriced_cost', 'saved_cost'] %}
    multiIf({{ corrected }}, null, {{ restated }}, amendments.{{ name }}, {{ calls }}.{{ name }}) as {{ name }},
    {% endfor %}
    {% for name in ['list_cost', 'contracted_cost', 'effective_cost', 'billed_cost'] %}
    {% set own, added = calls ~ '.' ~ name, 'amendments.' ~ name %}
    if(
        pricing = 'free', toDecimal128(0, 12), coalesce({{ own }} + {{ added }}, {{ own }}, {{ added }})
    ) as {{ name }}{{ '' if loop.last else ',' }}
    {% endfor %}
{% endmacro %}
