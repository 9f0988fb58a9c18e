-- The links of call trees without circles: of calls that cause each other in a circle, the earliest is the
-- root, and its link is cut. After all rounds of the doubling only such a call, or one below a circle, has
-- still one above it, and that one goes round the circle: what it has met is the whole of it.
with

links as (

    select
        organization,
        call_key,
        above_key as parent_key,
        linked_by,
        is_orphan,
        above_key,
        (occurred_at, call_key) as earliest

    from {{ ref('int_call_links') }}

),

{{ climb_links('links') }}

placed as (

    select
        *,
        anyIf(earliest, not is_child) over family as circle_earliest

    from ({{ pair_with_parent('climbed') }})

    window family as (partition by family_key)

),

marked as (

    select
        *,
        if(is_child, circle_earliest.2, call_key) as marked_key

    from placed

),

final as (

    select
        anyIf(organization, not is_child) as organization,
        marked_key as call_key,
        max(is_child) as is_cut,
        if(is_cut, '', anyIf(parent_key, not is_child)) as above_key,
        toLowCardinality(if(is_cut, 'circle', anyIf(linked_by, not is_child))) as linked_by,
        anyIf(is_orphan, not is_child) as is_orphan

    from marked

    group by marked_key

)

select * except (is_cut) from final
