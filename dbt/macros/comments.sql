{#
    A comment of ClickHouse: the description on one line, however its file wraps it. It takes the place of the adapter's
    macro, whose dollar quotes keep the line ends.
#}
{% macro clickhouse_escape_comment(comment) %}
    {{ return("'" ~ (comment.split() | join(' ')).replace('\\', '\\\\').replace("'", "\\'") ~ "'") }}
{% endmacro %}
