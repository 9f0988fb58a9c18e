-- One row per call that belongs to a tree, with the call above it: the one that it names as its parent (of
-- the same source first, else of any source of the organization; a span's id counts within its trace), else
-- the one that it names as the root, else the earliest call that names the same root. One that has none is a
-- root.
with

identities as (

    select * from {{ ref('int_call_identities') }}

),

claims as (

    select
        *,
        if(parent_call = '' or root_call = '', '', concat(root_call, ':', parent_call)) as parent_span

    from identities

),

targets as (

    select distinct
        organization,
        arrayJoin([root_call, parent_call, parent_span]) as event_id

    from claims

    where root_call != '' or parent_call != ''

),

named as (

    select
        organization,
        event_id,
        arraySort(groupArray((last_position, event_source, call_key))) as namesakes

    from identities

    where (organization, event_id) in (select targets.* from targets)

    group by organization, event_id

),

members as (

    select
        claims.organization as organization,
        claims.event_id as event_id,
        claims.last_position as last_position,
        claims.call_key as call_key,
        claims.occurred_at as occurred_at,
        claims.root_call as root_call,
        claims.parent_call as parent_call,
        {{ find_namesake('parents') }} as parent_by_id,
        {{ find_namesake('spans') }} as parent_by_span,
        {{ find_namesake('roots') }} as root_by_id

    from claims

    left any join named as parents
        on claims.organization = parents.organization and claims.parent_call = parents.event_id

    left any join named as spans
        on claims.organization = spans.organization and claims.parent_span = spans.event_id

    left any join named as roots
        on claims.organization = roots.organization and claims.root_call = roots.event_id

    where
        claims.root_call != ''
        or claims.parent_call != ''
        or (claims.organization, claims.event_id) in (select targets.* from targets)

),

linked as (

    select
        *,
        multiIf(
            parent_by_id != '', parent_by_id, parent_by_span != '', parent_by_span, root_by_id
        ) as named_above,
        multiIf(
            parent_by_id != '' or parent_by_span != '', 'parent', root_by_id != '', 'root', ''
        ) as named_by,
        first_value(call_key) over (
            partition by organization, root_call, named_above = ''
            order by occurred_at asc, last_position asc
        ) as earliest

    from members

),

final as (

    select
        organization,
        call_key,
        event_id,
        occurred_at,
        multiIf(
            named_above != '', named_above, root_call = '' or earliest = call_key, '', earliest
        ) as above_key,
        toLowCardinality(
            multiIf(named_by != '', named_by, above_key != '', 'trace', '')
        ) as linked_by,
        accurateCast(parent_call != '' and named_by != 'parent', 'UInt8') as is_orphan

    from linked

)

select * from final
