{# A cost by unit, rounded toward zero at 12 decimals; null where there are no units, or no cost is known. #}
{% macro unit_cost(cost, units) %}
    if({{ units }} > 0, toDecimal128(divideDecimal(assumeNotNull({{ cost }}), {{ units }}, 12), 12), null)
{% endmacro %}

{# Of observations of one subject and metric, what the last one says that became known; and what that work cost. #}
{% macro judged_values(work) %}
    argMax(observations.metric_value, log_position) as metric_value,
    argMax(observations.evaluator, log_position) as evaluator,
    argMax(observations.occurred_at, log_position) as judged_at,
    argMax(observations.accepted_at, log_position) as known_at,
    {% for name in ['started_at', 'owner_team', 'calls', 'tokens', 'list_cost', 'billed_cost'] %}
    any({{ work }}.{{ name }}) as {{ name }}{{ '' if loop.last else ',' }}
    {% endfor %}
{% endmacro %}
