-- Spend of each budget by tumbling bucket, a sixtieth of its window. As in the folds, a budget counts billed
-- cost in its currency, of entries after its first allocation on the log. A reversal counts where the entry
-- does that it takes back.
with

budgets as (

    select * from {{ ref('int_budgets_allocated') }}

),

entries as (

    select
        *,
        arrayJoin((select groupUniqArray(budgets.dimension) from budgets)) as limited_dimension,
        -- orders by event time; of equal times the first on the log is the greatest
        bitShiftLeft(toInt128(toUnixTimestamp64Micro(occurred_at)), 64) - log_offset as time_order

    from {{ ref('int_entries_measured') }}

    where billed_cost != 0

),

spends as (

    select
        log_offset,
        coalesce(reversed_offset, log_offset) as entry_offset,
        coalesce(reversed_index, event_index) as entry_index,
        accepted_at,
        organization,
        occurred_at,
        currency,
        billed_cost,
        time_order,
        limited_dimension as dimension,
        multiIf(
            {{ budget_scope_branches('limited_dimension') }},
            ''
        ) as scope_value

    from entries

),

bucketed as (

    select
        budgets.budget_key as budget_key,
        intDiv(toUnixTimestamp64Micro(spends.occurred_at), 1000000 * budgets.bucket_s) as bucket,
        sum(spends.billed_cost) as spend,
        max(spends.occurred_at) as last_spent_at,
        argMax(spends.log_offset, spends.time_order) as last_seen_offset,
        argMax(spends.accepted_at, spends.time_order) as last_seen_at

    from spends

    inner join budgets
        on spends.scope_value = budgets.scope_value

    where
        spends.dimension = budgets.dimension
        and spends.organization = budgets.organization
        and spends.currency = budgets.currency
        and (
            spends.entry_offset > budgets.first_offset
            or (spends.entry_offset = budgets.first_offset and spends.entry_index > budgets.first_index)
        )

    group by
        budget_key,
        bucket

),

final as (

    select
        budget_key,
        mapFromArrays(groupArray(bucket), groupArray(spend)) as spend_of_bucket,
        max(last_spent_at) as last_spent_at,
        argMax(last_seen_offset, bucket) as last_seen_offset,
        argMax(last_seen_at, bucket) as last_seen_at

    from bucketed

    group by budget_key

)

select * from final
