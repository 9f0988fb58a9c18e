-- One row per call of a tree and currency of that tree: the root, the depth, and the sums of the call and of
-- all below it. A call without a currency counts in the first one of its tree.
with

nodes as (

    select
        links.organization as organization,
        links.call_key as call_key,
        links.above_key as above_key,
        links.linked_by as linked_by,
        links.is_orphan as is_orphan,
        nodes.currency as currency,
        nodes.calls as calls,
        nodes.tokens as tokens,
        nodes.list_cost as list_cost,
        nodes.billed_cost as billed_cost

    from {{ ref('int_call_tree_links') }} as links

    inner join {{ ref('int_call_nodes') }} as nodes on links.call_key = nodes.call_key

),

spending as (

    select
        *,
        groupUniqArray(currency) over (partition by organization) as spent_in

    from nodes

),

started as (

    select
        spending.call_key as call_key,
        arrayJoin(spending.spent_in) as currency,
        spending.above_key as parent_key,
        spending.linked_by as linked_by,
        spending.is_orphan as is_orphan,
        spending.currency = currency as is_own,
        spending.above_key as above_key,
        if(spending.above_key = '', spending.call_key, spending.above_key) as root_key,
        toUInt32(spending.above_key != '') as depth,
        toInt64(if(is_own, spending.calls, 0)) as calls,
        toInt64(if(is_own, spending.tokens, 0)) as tokens,
        toDecimal128(if(is_own, coalesce(spending.list_cost, 0), 0), 12) as list_cost,
        toDecimal128(if(is_own, coalesce(spending.billed_cost, 0), 0), 12) as billed_cost,
        toUInt64(is_own and spending.list_cost is not null) as listed,
        toUInt64(is_own and spending.billed_cost is not null) as billed

    from spending

),

{{ climb_subtrees('started') }}
priced as (

    select
        * except (currency),
        currency as own_currency,
        arraySort(
            groupUniqArrayIf(currency, is_own and currency != '') over (partition by root_key)
        ) as spent_in

    from whole

),

placed as (

    select
        * except (own_currency),
        if(own_currency = '', arrayElement(spent_in, 1), own_currency) as currency

    from priced

    where own_currency = '' or has(spent_in, own_currency)

),

final as (

    select
        call_key,
        currency,
        any(root_key) as tree_key,
        any(parent_key) as above_key,
        any(linked_by) as linked_by,
        any(is_orphan) as is_orphan,
        max(depth) as depth,
        max(is_own) as is_own,
        sum(calls) as subtree_calls,
        sum(tokens) as subtree_tokens,
        {{ known_cost('sum(list_cost)', 'sum(listed)') }} as subtree_list_cost,
        {{ known_cost('sum(billed_cost)', 'sum(billed)') }} as subtree_billed_cost

    from placed

    group by call_key, currency

)

select * from final
