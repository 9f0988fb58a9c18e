with

events as (

    select * from {{ ref('stg_tally__events') }}

    -- a duplicate or a conflict is the same call again
    where
        kind = 'inference'
        and outcome in ('counted', 'quarantined')
        and notEmpty(left_out)

),

fields as (

    select
        organization,
        adapter,
        occurred_at,
        -- without the incarnation that a client adds: search-api/9f3c0d5e7a21
        toLowCardinality(replaceRegexpOne(toString(event_source), '/[0-9a-f]{12}$', '')) as source_name,
        coalesce(calls, 1) as calls_of_event,
        arrayJoin(left_out) as field_name

    from events

),

summed as (

    select
        organization,
        source_name,
        adapter,
        field_name,
        sum(calls_of_event) as calls,
        min(occurred_at) as first_occurred_at,
        max(occurred_at) as last_occurred_at

    from fields

    group by
        organization,
        source_name,
        adapter,
        field_name

),

final as (

    select
        lower(
            hex(sipHash128(organization, source_name, adapter, field_name))
        ) as left_out_field_key,
        *

    from summed

)

select * from final
