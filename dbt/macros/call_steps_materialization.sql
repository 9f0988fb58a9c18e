{#
    A table of call steps: kept from run to run, and begun anew where its SQL or its columns changed, or with
    --full-refresh. Beside it stand two tables of a build under way, _staged and _places, and a view, _statements, of the
    statements that warehouse/call_steps.py runs. Columns and types are those of the model's YAML file; those of the
    model's SQL are staged.
#}
{% materialization call_steps, adapter='clickhouse' %}
    {% set staged_names, staged_columns, names, columns = [], [], [], [] %}
    {% for column in model.columns.values() %}
        {% do names.append(column.name) %}
        {% do columns.append(column.name ~ ' ' ~ column.data_type) %}
        {% if not column.meta.get('is_placed') %}
            {% do staged_names.append(column.name) %}
            {% do staged_columns.append(column.name ~ ' ' ~ column.data_type) %}
        {% endif %}
    {% endfor %}
    {% set staged, places = this.schema ~ '.' ~ this.identifier ~ '_staged', this.schema ~ '.' ~ this.identifier ~ '_places' %}
    {% set table_sql = rollup_table_sql(
        this, columns + config.require('indexes'), config.require('engine'), config.require('order_by')
    ) %}
    {% set statements = {
        'stage': stage_sql(staged, staged_names, sql),
        'copy': copy_sql(this, staged, staged_names),
        'read': read_sql(staged),
        'place': place_sql(this, staged, places, names),
    } %}
    {% set digest = local_md5(table_sql ~ statements) %}
    {% set existing = run_query(
        "select comment from system.tables where database = '" ~ this.schema ~ "' and name = '" ~ this.identifier ~ "'"
    ) %}
    {% if should_full_refresh() or existing.rows | length == 0 or existing.rows[0][0] != digest %}
        {% call statement('staged') %}
            create or replace table {{ staged }} ({{ staged_columns | join(', ') }}) engine = MergeTree order by call_key
        {% endcall %}
        {% call statement('places') %}
            create or replace table {{ places }} ({{ place_columns() | join(', ') }}) engine = MergeTree order by call_key
        {% endcall %}
        {% call statement('create') %}
            {{ table_sql }} comment '{{ digest }}'
        {% endcall %}
    {% endif %}
    {% call statement('main') %}
        create or replace view {{ this.schema }}.{{ this.identifier }}_statements as select
            {% for name, statement_sql in statements.items() %}
            {{ quote_text(statement_sql) }} as {{ name }}_statement{{ '' if loop.last else ',' }}
            {% endfor %}
    {% endcall %}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}

{# The columns of the table of places, which warehouse/call_links.py fills. #}
{% macro place_columns() %}
    {{ return([
        'call_key String', 'component_key String', 'is_last UInt8', 'tree_key String', 'above_key String',
        'linked_by String', 'is_orphan UInt8', 'depth UInt32', 'own_currency String', 'subtree_currency Array(String)', 'subtree_is_own Array(UInt8)',
        'subtree_calls Array(Int64)', 'subtree_tokens Array(Int64)',
        'subtree_list_cost Array(Nullable(Decimal(38, 12)))', 'subtree_billed_cost Array(Nullable(Decimal(38, 12)))',
    ]) }}
{% endmacro %}
