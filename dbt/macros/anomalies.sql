{#
    What the marts of anomalies judge by. One place a rule: benchmarks/anomalies simulates against these very models.
#}

{# The columns of a call that spend of a day is held by, and that the causes of an anomaly are told by. #}
{% macro spend_dimensions() %}
    {{ return('model, team, project, feature, agent, environment, key_fingerprint') }}
{% endmacro %}

{# The measures of spend of a day, summed. #}
{% macro spend_day_sums() %}
    sum(coalesce(billed_cost, 0))::Decimal(38, 12) as billed_cost,
    sum(coalesce(list_cost, 0))::Decimal(38, 12) as list_cost,
    sum(calls)::Int64 as calls,
    sum(tokens)::Int64 as tokens
{% endmacro %}

{# Calls as their sources sent them, whatever became of them later. #}
{% macro sent_calls(absorbed=none) %}
    select
        events.`partition` as log_partition,
        events.`offset` as log_offset,
        events.organization as organization,
        events.`time` as occurred_at,
        events.provider as provider,
        {{ model_of('events') }},
        events.source as event_source,
        events.`key` as key_fingerprint,
        events.gateway as gateway,
        toInt64(coalesce(nullIf(events.calls, 0), 1)) as calls,
        if(
            match(
                lower(events.error_code),
                '429|529|rate.?limit|too.?many.?requests|overload|resource.?exhausted|throttl|capacity'
            ),
            calls, 0
        ) as refused_calls,
        if(coalesce(events.attempt, 1) > 1 or events.retry_of != '', calls, 0) as retries

    from {{ source('tally', 'events') }} as events

    where
        events.kind = 'inference'
        and events.outcome in ('counted', 'quarantined')
        {{ 'and ' ~ is_beyond(absorbed, 'events') if absorbed }}
{% endmacro %}

{# Those calls by sender and hour: a row each for the source, the key and the gateway. #}
{% macro sender_hours(calls) %}
    select
        log_partition,
        organization,
        toLowCardinality(tupleElement(sender, 1)) as dimension,
        tupleElement(sender, 2) as scope_value,
        {{ hour_of('occurred_at') }} as charge_hour,
        sum(calls) as calls,
        max(log_offset) + 1 as next_offset

    from (
        select
            *,
            arrayJoin([
                ('source', event_source::String),
                ('key', key_fingerprint::String),
                ('gateway', gateway::String)
            ]) as sender

        from {{ calls }}
    )

    where tupleElement(sender, 2) != ''

    group by
        log_partition,
        organization,
        dimension,
        scope_value,
        charge_hour
{% endmacro %}

{# The minute of a time. #}
{% macro minute_of(column) %}
    {{ return('toDateTime64(toStartOfMinute(' ~ column ~ "), 0, 'UTC')") }}
{% endmacro %}

{# Spend of a day that is less than this above its expectation is no anomaly, in any currency. #}
{% macro least_excess() %}{{ return('10') }}{% endmacro %}

{# Days of a series before the first that is judged. #}
{% macro grace_days() %}{{ return('14') }}{% endmacro %}

{#
    How many expected hours a sender may miss. One that sends day and night: three hours. One of office hours: a holiday,
    which is a fifth of its week. A batch: less than one of its hours, so it is missed in the hour after that. Always more
    than its longest silence so far, up to two holidays.
#}
{% macro missed_bound(hours_a_week, longest) %}
    multiIf(
        {{ hours_a_week }} >= 120, greatest(3, 1.5 * least({{ longest }}, 16)),
        {{ hours_a_week }} >= 30, greatest(
            0.25 * {{ hours_a_week }}, 1.1 * least({{ longest }}, 0.42 * {{ hours_a_week }})
        ),
        greatest(0.6, least({{ longest }}, 0.42 * {{ hours_a_week }}) + 0.4)
    )
{% endmacro %}

{# The start of an hour that is numbered from 1970 on. #}
{% macro time_of_hour(number) %}
    {{ return('toDateTime64(toDateTime(3600 * (' ~ number ~ "), 'UTC'), 0, 'UTC')") }}
{% endmacro %}
