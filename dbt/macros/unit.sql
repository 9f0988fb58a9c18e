{#
    Runs a unit test without a temporary table. The adapter's own materialization makes one to learn the types of
    the model's columns; that needs a session, and the embedded warehouse has none.
#}
{% materialization unit, adapter='clickhouse' %}
    {% set expected_rows = config.get('expected_rows') %}
    {% set expected_sql = config.get('expected_sql') %}
    {% set types = {} %}
    {% set quoted = {} %}
    {% for column in adapter.get_column_schema_from_query(get_empty_subquery_sql(sql)) %}
        {% do types.update({column.name | lower: column.data_type}) %}
        {% do quoted.update({column.name | lower: column.quoted}) %}
    {% endfor %}
    {% set tested = expected_rows[0].keys() if expected_rows else types.keys() %}
    {% set names = [] %}
    {% for name in tested %}
        {% do names.append(quoted[name | lower]) %}
    {% endfor %}
    {% if not expected_sql %}
        {% set expected_sql = get_expected_sql(expected_rows, types, quoted) %}
    {% endif %}
    {% call statement('main', fetch_result=True) %}
        {{ get_unit_test_sql(sql, expected_sql, names) }}
    {% endcall %}
    {{ return({'relations': []}) }}
{% endmaterialization %}
