{#
    The measures of usage that may be summed over any time and dimension, with their types. Those of a class are sums
    of its units, so they may be added up only where the class is kept.
#}

{% macro usage_measures() %}
    {% set money = 'Nullable(Decimal(38, 12))' %}
    {{ return([
        ('tokens', 'Int64'),
        ('unpriced_tokens', 'Int64'),
        ('list_cost', money),
        ('contracted_cost', money),
        ('effective_cost', money),
        ('billed_cost', money),
        ('calls', 'Int64'),
        ('unknown_calls', 'Int64'),
        ('unpriced_calls', 'Int64'),
        ('quarantined_calls', 'Int64'),
        ('unbounded_calls', 'Int64'),
        ('unknown_tokens', 'Int64'),
        ('greatest_unpriced_cost', money),
        ('saved_cost', money),
        ('contract_savings', money),
    ]) }}
{% endmacro %}

{# Their names, as a list of columns. #}
{% macro usage_measure_names() %}
    {% set names = [] %}
    {% for name, type in usage_measures() %}
        {% do names.append(name) %}
    {% endfor %}
    {{ return(names | join(', ')) }}
{% endmacro %}

{# Their names, of a rollup: without the aggregate function of its columns. #}
{% macro usage_measures_of_rollup() %}
    {% set columns = [] %}
    {% for name, type in usage_measures() %}
        {% do columns.append(name ~ '::' ~ type ~ ' as ' ~ name) %}
    {% endfor %}
    {{ return(columns | join(', ')) }}
{% endmacro %}

{# Their sums. #}
{% macro usage_measure_sums() %}
    {% set sums = [] %}
    {% for name, type in usage_measures() %}
        {% do sums.append('sum(' ~ name ~ ') as ' ~ name) %}
    {% endfor %}
    {{ return(sums | join(', ')) }}
{% endmacro %}

{# The hour of a time, also before 1970. #}
{% macro hour_of(column) %}
    {% set micros = 'toUnixTimestamp64Micro(' ~ column ~ ')' %}
    {{ return(
        'fromUnixTimestamp64Second(intDiv(' ~ micros ~ ' - positiveModulo(' ~ micros ~ ", 3600000000), 1000000), 'UTC')"
    ) }}
{% endmacro %}

{# A cost of a call that nothing amends: nothing where it is free. #}
{% macro cost_of_call(cost) %}
    {{ return("if(pricing = 'free', toDecimal128(0, 12), " ~ cost ~ ') as ' ~ cost) }}
{% endmacro %}

{# Low-cardinality texts of a call, of a group of it and its amendments. #}
{% macro call_texts(columns) %}
    {% set values = [] %}
    {% for column in columns.split(', ') %}
        {% do values.append('toLowCardinality(anyIf(versions.' ~ column ~ ', not versions.is_amendment)) as ' ~ column) %}
    {% endfor %}
    {{ return(values | join(', ')) }}
{% endmacro %}

{# What a call has by its last price: by its last restatement, else by itself. Null stays null. #}
{% macro last_price(column) %}
    {{ return(
        'tupleElement(argMaxIf(tuple(versions.' ~ column ~ "), (versions.outcome = 'restatement', versions.log_offset, "
        ~ "versions.seq), versions.outcome != 'reversal'), 1)"
    ) }}
{% endmacro %}
