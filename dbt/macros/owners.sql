{#
    Owners by look-up: the registry as constants of a query, and expressions that find in them. A query that asks for no
    owner computes none, which a join of each property that may be owned would do in any case. The rules are those of
    docs/rules.md, R17.
#}

{#
    What a call may be owned by, in the order of docs/rules.md, R17: the column of the call, the dimension of the
    assignment, and the word that says so.
#}
{% macro owned_columns() %}
    {{ return([
        ('key_fingerprint', 'key', 'key'),
        ('agent', 'agent', 'agent'),
        ('event_source', 'service', 'service'),
        ('feature', 'feature', 'feature'),
        ('project', 'project', 'project'),
        ('provider_account', 'provider_account', 'account'),
    ]) }}
{% endmacro %}

{# The assignments that are known now, by what is owned: two lists, of subjects and of the stretches of each. #}
{% macro owner_spans() %}
(
    select tuple(arrayPushFront(groupArray(subject), ''), arrayPushFront(groupArray(spans), []))
    from (
        select
            concat(organization, '\n', dimension, '\n', scope_value) as subject,
            arraySort(groupArray((valid_from, valid_to, toString(team)))) as spans
        from {{ ref('dim_assignments') }}
        where known_to_offset is null
        group by subject
    )
)
{% endmacro %}

{# The paths of teams, alike: with the teams above each, and the cost center. #}
{% macro path_spans() %}
(
    select tuple(arrayPushFront(groupArray(subject), ''), arrayPushFront(groupArray(spans), []))
    from (
        select
            concat(organization, '\n', team) as subject,
            arraySort(groupArray((valid_from, valid_to, team_path, toString(cost_center)))) as spans
        from {{ ref('int_team_paths') }}
        group by subject
    )
)
{% endmacro %}

{# The last stretch of a subject that began by the time of the row; one of empty values where there is none. #}
{% macro find_span(spans, subject) %}
    {{ return(
        'arrayLast(span -> span.1 <= occurred_at, tupleElement(' ~ spans ~ ', 2)[transform(' ~ subject ~ ', tupleElement('
        ~ spans ~ ', 1), arrayEnumerate(tupleElement(' ~ spans ~ ', 1)), 1)])'
    ) }}
{% endmacro %}

{# Columns of the rows of `calls`, where `owner_spans` is known: the word that says by what a call is owned, and the team. #}
{% macro owner_columns() %}
    multiIf(
        team != '', ('event', toString(team)),
        {% for column, dimension, word in owned_columns() %}
        {% set span = find_span(
            'owner_spans', "concat(organization, '\\n" ~ dimension ~ "\\n', " ~ column ~ ")"
        ) %}
        tupleElement({{ span }}, 3) != '' and coalesce(occurred_at < tupleElement({{ span }}, 2), true),
        ('{{ word }}', tupleElement({{ span }}, 3)),
        {% endfor %}
        ('unowned', '')
    ) as owner,
    toLowCardinality(owner.1) as attributed_by,
    owner.2 as owner_team
{% endmacro %}

{# Columns beside these, where `path_spans` is known: the owner with the teams above it, and their cost center. #}
{% macro path_columns() %}
    {{ find_span('path_spans', "concat(organization, '\\n', owner_team)") }} as path_span,
    notEmpty(path_span.3) and coalesce(occurred_at < path_span.2, true) as is_declared,
    multiIf(is_declared, path_span.3, owner_team = '', [], [owner_team]) as owner_path,
    if(is_declared, path_span.4, '') as owner_cost_center
{% endmacro %}
