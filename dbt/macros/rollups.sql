{#
    Rollups: tables that hold what their models derive of all rows below a position, and per log partition that
    position. A rollup's model selects rows where is_pending(); a mart adds to the rollup the rows where is_beyond().
#}

{# A map: for each log partition, the offset below which a rollup has absorbed every record; 0 where it has none. #}
{% macro absorbed_offsets(rollup) %}
    {{ return(
        '(select mapFromArrays(groupArray(absorbed_partition), groupArray(absorbed_offset)) from ('
        ~ 'select log_partition as absorbed_partition, max(next_offset) as absorbed_offset from ' ~ rollup
        ~ ' group by absorbed_partition))'
    ) }}
{% endmacro %}

{#
    Condition: the row lies at or above the offset that a map has for its log partition; of a model, or of a table of the
    sink. A condition with constants for each partition lets ClickHouse skip what the index of positions excludes; the last
    branch is for any others.
#}
{% macro is_beyond(offsets, table=none) %}
    {% set partition = table ~ '.`partition`' if table else 'log_partition' %}
    {% set offset = table ~ '.`offset`' if table else 'log_offset' %}
    {% set branches = [] %}
    {% for number in range(16) %}
        {% do branches.append(
            '(' ~ partition ~ ' = ' ~ number ~ ' and ' ~ offset ~ ' >= ' ~ offsets ~ '[' ~ number ~ '])'
        ) %}
    {% endfor %}
    {% do branches.append('(' ~ partition ~ ' >= 16 and ' ~ offset ~ ' >= ' ~ offsets ~ '[' ~ partition ~ '])') %}
    {{ return('(' ~ branches | join(' or ') ~ ')') }}
{% endmacro %}

{# Condition: the row is of the next build. The build replaces the name by offsets of each log partition. #}
{% macro is_pending() %}
    {{ return('pending_rows') }}
{% endmacro %}

{#
    The statement that finds the next build: the condition for `pending_rows`, empty where nothing is pending. A build
    holds about so many rows of the source, of records that all tables hold whole; from each log partition the part that
    its share allows, and one record at least.
#}
{% macro next_build_sql(rollup, source, stored_offsets, max_rows) %}
with
{{ absorbed_offsets(rollup) }} as absorbed,
(
    select mapFromArrays(groupArray(log_partition), groupArray(next_offset)) from {{ stored_offsets }}
) as stored,
pending as (
    select
        log_partition,
        min(log_offset) as first_offset,
        max(log_offset) + 1 as end_offset,
        sum(count()) over () as row_count
    from {{ source }}
    where {{ is_beyond('absorbed') }} and log_offset < stored[log_partition]
    group by log_partition
),
builds as (
    select
        log_partition,
        first_offset + toUInt64(ceil((end_offset - first_offset) * least(1, {{ max_rows }} / row_count)))
        as end_offset
    from pending
)
select arrayStringConcat(groupArray(concat(
    '(log_partition = ', toString(log_partition), ' and log_offset >= absorbed[', toString(log_partition),
    '] and log_offset < ', toString(end_offset), ')'
)), ' or ') as next_build
from builds
{% endmacro %}

{#
    The statement that stores a build: one block, so one part, which stands whole or not at all. What it admits lies
    above the rollup's own greatest position, as it is when the statement runs.
#}
{% macro build_sql(rollup, columns, sql) %}
insert into {{ rollup }} ({{ columns | join(', ') }})
select {{ columns | join(', ') }} from (
{{ sql }}
)
{{ one_block() }}
{% endmacro %}

{# Settings by which an insert is one block, and so one part. #}
{% macro one_block() %}
settings
    max_insert_threads = 1, min_insert_block_size_rows = 1000000000, min_insert_block_size_bytes = 0,
    optimize_on_insert = 1, async_insert = 0, enable_shared_storage_snapshot_in_query = 1
{% endmacro %}
