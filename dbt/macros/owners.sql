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

{# The rows of `calls`, with the assignment that held of each of these at their time: *_team, until *_to. #}
{% macro join_owners(calls, assignments) %}
    select * from {{ calls }}
    {% for column, dimension, word in owned_columns() %}
        asof left join (
            select
                organization as {{ word }}_organization,
                scope_value as {{ word }}_value,
                team as {{ word }}_team,
                valid_from as {{ word }}_from,
                valid_to as {{ word }}_to
            from {{ assignments }}
            where dimension = '{{ dimension }}'
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
