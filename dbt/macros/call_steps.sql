{#
    The table of call steps: each version of each call with what the event says, the sums of its call, and the place of
    the call in its tree. warehouse/call_steps.py builds it; these are the statements. A build holds whole trees: the
    calls that are new or amended, and the trees of all that they name or are named by. `pending_rows` stands for the
    positions of the build, `absorbed_rows` for all up to its end, `end_offsets` for a map of these ends,
    `build_number` for their sum, which only grows, `former_number` for that sum before the build, which must still be
    the table's, and `part_of_rows` for the calls of one insert.
#}

{# The keys of calls that are new or amended, as columns of the rows that amend them. #}
{% macro touched_calls() %}
    select organization, occurred_at, log_partition, call_offset, call_index
    from {{ ref('rollup_calls') }}
    where pending_rows
{% endmacro %}

{# The statement that derives the calls that are new or amended, as they are at the end of the build. #}
{% macro stage_sql(staged, columns, sql) %}
insert into {{ staged }} ({{ columns | join(', ') }})
select {{ columns | join(', ') }} from (
{{ sql }}
)
{{ one_block() }}
{% endmacro %}

{# The statement that adds what the table has of the trees of all that the staged calls name, or are named by. #}
{% macro copy_sql(steps, staged, columns) %}
insert into {{ staged }} ({{ columns | join(', ') }})
select {{ columns | join(', ') }} from {{ steps }} final
where component_key in (
    select component_key from {{ steps }} final where call_id in (
        select arrayJoin([call_id, root_call, parent_call, parent_span]) as name from {{ staged }} where name != ''
    )
    union distinct
    select component_key from {{ steps }} final where root_call in (
        select arrayJoin([call_id, root_call]) as name from {{ staged }} where name != ''
    )
    union distinct
    select component_key from {{ steps }} final where parent_call in (select call_id from {{ staged }})
    union distinct
    select component_key from {{ steps }} final where parent_span in (select call_id from {{ staged }})
)
and call_key not in (select call_key from {{ staged }})
{{ one_block() }}
{% endmacro %}

{# The statement that reads what warehouse/call_links.py needs of a version of a call, in the order of its fields. #}
{% macro read_sql(staged) %}
select
    organization, call_source, call_id, log_offset, reinterpretAsInt32(event_index), call_key,
    toUnixTimestamp64Micro(occurred_at), root_call, parent_call, currency, calls, tokens,
    if(list_cost is null, null, reinterpretAsInt128(assumeNotNull(list_cost))),
    if(billed_cost is null, null, reinterpretAsInt128(assumeNotNull(billed_cost)))
from {{ staged }}
{% endmacro %}

{# The statement that stores a build: one block, so one part, which stands whole or not at all. #}
{% macro place_sql(steps, staged, places, columns) %}
insert into {{ steps }} ({{ columns | join(', ') }})
with
nodes as (
    select
        organization as node_organization,
        call_source as node_source,
        call_id as node_id,
        {% for name in node_sums() %}
        sum({{ name }}) as node_{{ name }}{{ '' if loop.last else ',' }}
        {% endfor %}
    from {{ staged }}
    group by node_organization, node_source, node_id
),
steps as (
    select
        staged.call_key as call_key,
        staged.* except (call_key),
        places.* except (call_key),
        nodes.* except (node_organization, node_source, node_id)
    from {{ staged }} as staged
    left any join {{ places }} as places on staged.call_key = places.call_key
    left any join nodes
        on staged.organization = nodes.node_organization
        and staged.call_source = nodes.node_source
        and staged.call_id = nodes.node_id
),
{{ tree_sums() }}
select
    {% for name in columns %}
    {% if name == 'next_offset' %}
    end_offsets[steps.log_partition] as next_offset,
    {% elif name == 'build' %}
    build_number as build
    {% elif name.startswith('tree_') and name != 'tree_key' %}
    trees.{{ name }} as {{ name }},
    {% else %}
    steps.{{ name }} as {{ name }},
    {% endif %}
    {% endfor %}
from steps
left any join trees on steps.call_key = trees.root_key
where
    part_of_rows
    and former_number = (
        select sum(reached) from (select max(next_offset) as reached from {{ steps }} group by log_partition)
    )
{{ one_block() }}
{% endmacro %}

{# The measures of a call that are summed over its versions. #}
{% macro node_sums() %}
    {{ return([
        'calls', 'tokens', 'cached_tokens', 'saved_cost', 'cache_saved_cost', 'list_cost', 'contracted_cost',
        'effective_cost', 'billed_cost',
    ]) }}
{% endmacro %}

{# The measures of a call tree that are sums of its calls, by currency: their names, and what is summed where. #}
{% macro tree_measures() %}
    {% set measures = [
        ('calls', 'node_calls', ''),
        ('failed_calls', 'node_calls', 'is_failed'),
        ('retried_calls', 'node_calls', 'is_retry'),
        ('fallback_calls', 'node_calls', 'is_fallback'),
        ('cached_calls', 'node_calls', "response_cache = 'hit'"),
        ('unpriced_calls', 'node_calls', "pricing not in ('priced', 'free')"),
        ('failed_cost', 'node_billed_cost', 'is_failed'),
        ('retry_cost', 'node_billed_cost', 'is_retry'),
        ('fallback_cost', 'node_billed_cost', 'is_fallback'),
    ] %}
    {% for name in node_sums() if name != 'calls' %}
        {% do measures.append((name, 'node_' ~ name, '')) %}
    {% endfor %}
    {{ return(measures) }}
{% endmacro %}

{# The lists of the measures of a tree, by currency, under the names of a root's row. #}
{% macro tree_lists() %}
    {% set lists = [] %}
    {% for name, _, _ in tree_measures() %}
        {% do lists.append('tree_' ~ name ~ ' as root_' ~ name) %}
    {% endfor %}
    {{ return(lists | join(', ')) }}
{% endmacro %}

{# Two common table expressions: the sums of each tree by currency, and `trees` with them as lists. #}
{% macro tree_sums() %}
currencies as (
    select
        tree_key as root_key,
        own_currency,
        count() as step_count,
        max(depth) as greatest_depth,
        sum(is_orphan) as orphan_count,
        min(occurred_at) as first_at,
        max(occurred_at + toIntervalMillisecond(coalesce(latency_ms, 0))) as last_at,
        {% for name, measure, condition in tree_measures() %}
        {{ 'sumIf(' ~ measure ~ ', ' ~ condition ~ ')' if condition else 'sum(' ~ measure ~ ')' }}
        as sum_of_{{ name }}{{ '' if loop.last else ',' }}
        {% endfor %}
    from steps
    where is_last
    group by root_key, own_currency
),
trees as (
    select
        root_key,
        sum(step_count) as tree_steps,
        max(greatest_depth) as tree_depth,
        sum(orphan_count) as tree_orphans,
        min(first_at) as tree_started_at,
        max(last_at) as tree_ended_at,
        arraySort(line -> line.1, groupArray(tuple(
            own_currency{% for name, _, _ in tree_measures() %}, sum_of_{{ name }}{% endfor %}
        ))) as lines,
        arrayMap(line -> line.1, lines) as tree_currency,
        {% for name, _, _ in tree_measures() %}
        arrayMap(line -> line.{{ loop.index + 1 }}, lines) as tree_{{ name }}{{ '' if loop.last else ',' }}
        {% endfor %}
    from currencies
    group by root_key
)
{% endmacro %}
