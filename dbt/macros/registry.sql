{#
    The registry as of two times (docs/rules.md, R17): each record of a family as the rectangles of valid time and known
    time in which it is what holds of its subject. Later records of the subject cut it: from their own position on, down
    to their effective time. One that cuts no deeper than those before it changes nothing. `columns` are expressions over
    the record: what it says.
#}
{% macro registry_intervals(family, columns) %}
with

records as (

    select * from {{ ref('int_registry_records') }}

    where family = '{{ family }}'

),

subjects as (

    select
        organization,
        subject,
        arraySort(groupArray((log_offset, seq, effective_at, known_at))) as history

    from records

    group by organization, subject

),

followed as (

    select
        records.*,
        arrayFilter(step -> (step.1, step.2) > (records.log_offset, records.seq), subjects.history) as later,
        arrayFilter(
            (step, place) -> not arrayExists(
                earlier -> earlier.3 <= step.3, arraySlice(later, 1, toInt64(place) - 1)
            ),
            later,
            arrayEnumerate(later)
        ) as cuts,
        arrayJoin(arrayEnumerate(arrayPushFront(cuts, (log_offset, seq, effective_at, known_at)))) as piece

    from records

    inner join subjects
        on records.organization = subjects.organization and records.subject = subjects.subject

    where not records.is_end

),

intervals as (

    select
        *,
        effective_at as valid_from,
        if(piece = 1, null, cuts[piece - 1].3) as valid_to,
        if(piece = 1, known_at, cuts[piece - 1].4) as known_from,
        if(piece > length(cuts), null, cuts[piece].4) as known_to,
        if(piece = 1, log_offset, cuts[piece - 1].1) as known_from_offset,
        if(piece > length(cuts), null, cuts[piece].1) as known_to_offset

    from followed

),

final as (

    select
        organization,
        {% for name, expression in columns.items() %}
        {{ expression }} as {{ name }},
        {% endfor %}
        valid_from,
        valid_to,
        known_from,
        known_to,
        known_from_offset,
        known_to_offset,
        log_partition,
        log_offset,
        seq

    from intervals

    where
        coalesce(valid_to > valid_from, true)
        and coalesce(known_to_offset > known_from_offset, true)

)

select * from final
{% endmacro %}

{# A text of the record; empty where it has none. #}
{% macro registry_text(field) %}JSONExtractString(body, '{{ field }}'){% endmacro %}

{# The greatest number of teams of a path; what goes further is cut. #}
{% macro max_team_levels() %}64{% endmacro %}
