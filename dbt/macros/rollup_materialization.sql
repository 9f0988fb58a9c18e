{#
    A table that absorbs the rows of its source, build by build, each row once. It is kept from run to run, and begun
    anew where its SQL or its columns changed, or with --full-refresh. A view beside it, named _build, holds the
    statements of a build: the sink runs them every few seconds (warehouse/rollups.py), and so does this, to the end.
    Columns and types are those of the model's YAML file.
#}
{% materialization rollup, adapter='clickhouse' %}
    {% set names = [] %}
    {% set columns = [] %}
    {% for column in model.columns.values() %}
        {% do names.append(column.name) %}
        {% do columns.append(column.name ~ ' ' ~ column.data_type) %}
    {% endfor %}
    {% set table_sql = rollup_table_sql(
        this, columns + config.get('indexes', []), config.require('engine'), config.require('order_by')
    ) %}
    {% set insert_sql = build_sql(this, names, sql) %}
    {% set digest = local_md5(table_sql ~ insert_sql) %}
    {% set next_sql = next_build_sql(
        this, ref(config.require('absorbs')), ref('int_offsets_stored'), config.require('rows_per_build')
    ) %}
    {% set existing = run_query(
        "select comment from system.tables where database = '" ~ this.schema ~ "' and name = '" ~ this.identifier ~ "'"
    ) %}
    {% if should_full_refresh() or existing.rows | length == 0 or existing.rows[0][0] != digest %}
        {% call statement('create') %}
            {{ table_sql }} comment '{{ digest }}'
        {% endcall %}
    {% endif %}
    {% call statement('main') %}
        create or replace view {{ this.schema }}.{{ this.identifier }}_build as select
            {{ quote_text(next_sql) }} as next_build_statement,
            {{ quote_text(insert_sql) }} as build_statement
    {% endcall %}
    {% set progress = namespace(build=none, is_done=false) %}
    {% for _ in range(100000) if not progress.is_done %}
        {% set build = run_query(next_sql).rows[0][0] %}
        {% if build == '' or build == progress.build %}
            {% set progress.is_done = true %}
        {% else %}
            {% call statement('build') %}
                {{ insert_sql | replace('pending_rows', '(' ~ build ~ ')') }}
            {% endcall %}
            {% set progress.build = build %}
        {% endif %}
    {% endfor %}
    {{ return({'relations': [this.incorporate(type='table')]}) }}
{% endmaterialization %}

{# The statement that makes the table of a rollup, with a projection of the positions that it has absorbed. #}
{% macro rollup_table_sql(rollup, columns, engine, order_by) %}
create or replace table {{ rollup }} (
    {{ columns | join(',\n    ') }},
    projection reached (select log_partition, max(next_offset) group by log_partition)
)
engine = {{ engine }}
order by ({{ order_by }})
settings deduplicate_merge_projection_mode = 'rebuild', lightweight_mutation_projection_mode = 'rebuild',
min_bytes_for_wide_part = 67108864, fsync_after_insert = 1, fsync_part_directory = 1
{% endmacro %}

{% macro quote_text(text) %}
    {{ return("'" ~ text | replace('\\', '\\\\') | replace("'", "\\'") ~ "'") }}
{% endmacro %}
