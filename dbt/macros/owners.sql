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

{# The rows of `calls`, each with the team that owned it at its time, as known now, and the word that says by what. #}
{% macro owned_rows(calls) %}
    select
        * except ({{ owner_helpers() }}),
        toLowCardinality(
            multiIf(team != '', 'event', {{ attribution_branches() }} 'unowned')
        ) as attributed_by,
        multiIf(attributed_by = 'event', toString(team), {{ owner_branches() }} '') as owner_team

    from ({{ join_owners(calls) }})
{% endmacro %}

{# The rows of `owned`, each with its owner and the teams above it at its time, and the cost center of these. #}
{% macro placed_rows(owned) %}
    select
        * except (team_path, path_cost_center, is_declared),
        multiIf(is_declared, team_path, owner_team = '', [], [owner_team]) as owner_path,
        if(is_declared, path_cost_center, '') as owner_cost_center

    from (
        select
            owned.*,
            paths.team_path as team_path,
            paths.path_cost_center as path_cost_center,
            paths.path_team != '' and coalesce(owned.occurred_at < paths.path_to, true) as is_declared

        from {{ owned }} as owned

        asof left join (
            select
                organization as path_organization,
                team as path_team,
                team_path,
                cost_center as path_cost_center,
                valid_from as path_from,
                valid_to as path_to
            from {{ ref('int_team_paths') }}
        ) as paths
            on
                owned.organization = paths.path_organization
                and owned.owner_team = paths.path_team
                and owned.occurred_at >= paths.path_from
    )
{% endmacro %}

{# The rows of `calls`, with the assignment that held of each of these at their time: *_team, until *_to. #}
{% macro join_owners(calls) %}
    select * from {{ calls }}
    {% for column, dimension, word in owned_columns() %}
        asof left join (
            select
                organization as {{ word }}_organization,
                scope_value as {{ word }}_value,
                team as {{ word }}_team,
                valid_from as {{ word }}_from,
                valid_to as {{ word }}_to
            from {{ ref('dim_assignments') }}
            where known_to_offset is null and dimension = '{{ dimension }}'
        ) as {{ word }}_owners
            on organization = {{ word }}_organization
            and {{ column }} = {{ word }}_value
            and occurred_at >= {{ word }}_from
    {% endfor %}
{% endmacro %}

{# Branches of multiIf: the word of the first of these that has an owner; and below, that owner. #}
{% macro attribution_branches() %}
    {% for column, dimension, word in owned_columns() %}
        {{ word }}_team != '' and coalesce(occurred_at < {{ word }}_to, true), '{{ word }}',
    {% endfor %}
{% endmacro %}

{% macro owner_branches() %}
    {% for column, dimension, word in owned_columns() %}
        attributed_by = '{{ word }}', {{ word }}_team,
    {% endfor %}
{% endmacro %}

{# The columns that join_owners adds. #}
{% macro owner_helpers() %}
    {% set names = [] %}
    {% for column, dimension, word in owned_columns() %}
        {% for part in ('organization', 'value', 'team', 'from', 'to') %}
            {% do names.append(word ~ '_' ~ part) %}
        {% endfor %}
    {% endfor %}
    {{ return(names | join(', ')) }}
{% endmacro %}
