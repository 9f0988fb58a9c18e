{#
    Call trees by pointer doubling: after round k each call knows the call 2^k steps above it, and the sums of what is less
    than 2^k steps below it. The rounds are queries, each of which reads the one before it once. They are no
    recursion: in a view ClickHouse 26.9 gives a step of it the rows of all steps, and a join of a round with itself
    would compute the first one 2^k times.
#}

{#
    Rounds in which links are climbed: a chain may have 2^12 = 4,096 steps. What goes further is cut as a circle is, and
    said to be one; so sums need one round more, and none is left out.
#}
{% macro tree_rounds() %}12{% endmacro %}

{#
    Each call of a round, once as itself and once as a child of the call that it points at, if any: a window over
    `family_key` hands a child what the call above has, and a call the sums of its children.
#}
{% macro pair_with_parent(round) %}
    select
        *,
        arrayJoin(if(above_key = '', [false], [false, true])) as is_child,
        if(is_child, above_key, call_key) as family_key

    from {{ round }}
{% endmacro %}

{# The rounds from `start` on, as common table expressions; the last is `climbed`: the earliest call on the way up. #}
{% macro climb_links(start) %}
{% for number in range(tree_rounds() | int) %}
{{ 'climbed' if loop.last else 'round_' ~ number }} as (

    select
        call_key,
        any(organization) as organization,
        any(parent_key) as parent_key,
        any(linked_by) as linked_by,
        any(is_orphan) as is_orphan,
        anyIf(next_key, is_child) as above_key,
        min(if(is_child, next_earliest, earliest)) as earliest

    from (
        select
            *,
            anyIf(above_key, not is_child) over family as next_key,
            anyIf(earliest, not is_child) over family as next_earliest

        from ({{ pair_with_parent(start if loop.first else 'round_' ~ (number - 1)) }})

        window family as (partition by family_key)
    )

    group by call_key

),
{% endfor %}
{% endmacro %}

{# The rounds from `start` on, as common table expressions; the last is `whole`: root, depth, and sums of all below. #}
{% macro climb_subtrees(start) %}
{% set sums = ['calls', 'tokens', 'list_cost', 'billed_cost', 'listed', 'billed'] %}
{% for number in range((tree_rounds() | int) + 1) %}
{{ 'whole' if loop.last else 'round_' ~ number }} as (

    select
        call_key,
        currency,
        any(parent_key) as parent_key,
        any(linked_by) as linked_by,
        any(is_orphan) as is_orphan,
        any(is_own) as is_own,
        anyIf(next_key, is_child) as above_key,
        if(max(is_child), anyIf(next_root_key, is_child), any(family.root_key)) as root_key,
        toUInt32(any(family.depth) + sumIf(next_depth, is_child)) as depth,
        {% for name in sums %}
        any(family.{{ name }}) + sumIf(below_{{ name }}, not is_child) as {{ name }}{{ '' if loop.last else ',' }}
        {% endfor %}

    from (
        select
            *,
            anyIf(above_key, not is_child) over family as next_key,
            anyIf(root_key, not is_child) over family as next_root_key,
            anyIf(depth, not is_child) over family as next_depth,
            {% for name in sums %}
            sumIf({{ name }}, is_child) over family as below_{{ name }}{{ '' if loop.last else ',' }}
            {% endfor %}

        from ({{ pair_with_parent(start if loop.first else 'round_' ~ (number - 1)) }})

        window family as (partition by family_key, currency)
    ) as family

    group by call_key, currency

),
{% endfor %}
{% endmacro %}

{# The key of the call with a name: of the same source first, else the first on the log; empty where only the call itself
   has it. #}
{% macro find_namesake(table) %}
    {% set others = 'arrayFilter(entry -> entry.3 != claims.call_key, ' ~ table ~ '.namesakes)' %}
    {{ return(
        "tupleElement(arrayElement(arrayConcat(arrayFilter(entry -> entry.2 = claims.event_source, " ~ others ~ "), "
        ~ others ~ "), 1), 3)"
    ) }}
{% endmacro %}

{# The value that the last version of a call has in each of these columns; null stays null. #}
{% macro last_values(columns) %}
    {% set values = [] %}
    {% for column in columns %}
        {% do values.append('\n        tupleElement(argMax(tuple(calls.' ~ column ~ '), calls.log_position), 1) as ' ~ column) %}
    {% endfor %}
    {{ return(values | join(', ')) }}
{% endmacro %}

{# What a call does itself, and what is known of the call alone. #}
{% macro node_properties() %}
    {{ return([
        'occurred_at', 'session', 'root_call', 'parent_call', 'tool', 'operation', 'status', 'key_fingerprint',
        'provider_account', 'is_failed', 'is_retry', 'is_fallback', 'response_cache', 'corrected_by', 'latency_ms',
        'pricing', 'currency',
    ]) }}
{% endmacro %}

{# The value that the root of a tree has in each of these columns. #}
{% macro root_values(columns) %}
    {% set values = [] %}
    {% for column in columns %}
        {% do values.append('\n        anyIf(steps.' ~ column ~ ', steps.call_key = steps.tree_key) as ' ~ column) %}
    {% endfor %}
    {{ return(values | join(', ')) }}
{% endmacro %}

{# A cost that is null where nothing has one. #}
{% macro known_cost(cost, priced) %}if({{ priced }} = 0, null, {{ cost }}){% endmacro %}
