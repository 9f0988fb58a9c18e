{#
    The columns of an entry's dimensions, from ledger/dimensions.py: tools/dimensions.py writes the lists.
#}

{# Those of fct_entries. #}
{% macro entry_dimensions() %}
    {# begin entry columns #}
    {% set columns = [
        'provider',
        'provider_account',
        'model',
        'service_tier',
        'speed',
        'geography',
        'region',
        'context_tier',
        'team',
        'project',
        'feature',
        'agent',
        'session',
        'customer',
        'user_pseudonym',
        'environment',
        'purpose',
        'payer',
        'key_fingerprint',
        'status',
    ] %}
    {# end entry columns #}
    {{ return(columns | join(', ')) }}
{% endmacro %}

{# Those that costs are summed by; named after a table where a join needs it. #}
{% macro usage_dimensions(table=none) %}
    {# begin usage columns #}
    {% set columns = [
        'provider',
        'model',
        'team',
        'project',
        'feature',
        'agent',
        'customer',
        'environment',
        'payer',
    ] %}
    {# end usage columns #}
    {% set names = [] %}
    {% for column in columns %}
        {% do names.append(table ~ '.' ~ column ~ ' as ' ~ column if table else column) %}
    {% endfor %}
    {{ return(names | join(', ')) }}
{% endmacro %}

{# Those of the sink's tables, of a table of this name, under their names in the models. #}
{% macro staged_dimensions(table) %}
    {{- dimension_columns(table) | map('join', ' as ') | join(', ') -}}
{% endmacro %}

{% macro dimension_columns(table) %}
    {# begin staged columns #}
    {% set columns = [
        ('provider', 'provider'),
        ('provider_account', 'provider_account'),
        ('model', 'model_requested'),
        ('model_resolved', 'model_resolved'),
        ('service_tier', 'service_tier'),
        ('speed', 'speed'),
        ('geography', 'geography'),
        ('region', 'region'),
        ('context_tier', 'context_tier'),
        ('team', 'team'),
        ('project', 'project'),
        ('feature', 'feature'),
        ('agent', 'agent'),
        ('session', 'session'),
        ('customer', 'customer'),
        ('user', 'user_pseudonym'),
        ('environment', 'environment'),
        ('purpose', 'purpose'),
        ('payer', 'payer'),
        ('`key`', 'key_fingerprint'),
        ('status', 'status'),
    ] %}
    {# end staged columns #}
    {% set names = [] %}
    {% for column, name in columns %}
        {% do names.append((table ~ '.' ~ column, name)) %}
    {% endfor %}
    {{ return(names) }}
{% endmacro %}

{# Those that a budget can limit, with their columns in the sink's tables. #}
{% macro budget_columns() %}
    {# begin budget columns #}
    {% set columns = [
        ('organization', 'organization'),
        ('team', 'team'),
        ('project', 'project'),
        ('feature', 'feature'),
        ('environment', 'environment'),
        ('user', 'user'),
        ('customer', 'customer'),
        ('key', '`key`'),
        ('agent', 'agent'),
        ('session', 'session'),
    ] %}
    {# end budget columns #}
    {{ return(columns) }}
{% endmacro %}
