-- Spend of each budget by tumbling bucket, a sixtieth of its window, of the buckets of its present window.
-- As in the folds, a budget counts billed cost in its currency, of entries after its first allocation on the
-- log, and beside it the calls whose spend is not known. What is spent ahead of the log's time stands in its
-- present bucket. The index of what fell due with a record has its highest bit set, and comes before the
-- record's own.
-- Whole ticks are read from the rollup. Single rows are read where it has no figure: beyond its position, of
-- windows whose buckets are not whole ticks, of scopes that it leaves out, and of ticks in which a budget
-- begins to count.
with

{{ absorbed_offsets(ref('rollup_budget_ticks')) }} as absorbed,

(
    select
        groupArray((
            allocated.budget_key,
            allocated.organization::String,
            allocated.dimension::String,
            allocated.scope_value,
            allocated.currency::String,
            allocated.bucket_s,
            allocated.first_offset,
            allocated.first_index,
            intDiv(toUnixTimestamp64Milli(clocks.now_at), 1000 * allocated.bucket_s)
        ))

    from {{ ref('int_budgets_allocated') }} as allocated

    left join {{ ref('int_log_clocks') }} as clocks
        on allocated.log_partition = clocks.log_partition
) as budget_list,

budgets as (

    select
        budget_number,
        item.2 as organization,
        item.3 as dimension,
        item.4 as scope_value,
        item.5 as currency,
        item.6 as bucket_s,
        item.7 as first_offset,
        item.8 as first_index,
        item.9 as now_bucket,
        dimension not in ({{ unrolled_dimensions() }}) as is_rolled,
        is_rolled and bucket_s % {{ tick_s() }} = 0 as is_ticked,
        now_bucket - 60 as oldest_bucket,
        1000000 * bucket_s * oldest_bucket as oldest_us

    from (
        select
            arrayJoin(arrayEnumerate(budget_list)) as budget_number,
            budget_list[budget_number] as item
    ) as listed

),

rolled as (

    select
        budgets.budget_number as budget_number,
        budgets.first_offset as allocated_offset,
        if(
            budgets.is_ticked,
            least(intDiv(spends.tick * {{ tick_s() }}, budgets.bucket_s), budgets.now_bucket),
            budgets.oldest_bucket - 1
        ) as bucket,
        budgets.oldest_bucket as oldest_bucket,
        spends.tick as tick,
        spends.first_offset as first_offset,
        spends.last_offset as last_offset,
        spends.spend as spend,
        spends.greatest_amount as greatest_amount,
        spends.unknown_calls as unknown_calls,
        spends.unknown_tokens as unknown_tokens,
        spends.unbounded_calls as unbounded_calls,
        spends.last_spent_us as last_spent_us

    from {{ ref('rollup_budget_ticks') }} as spends

    inner join budgets
        on
            spends.organization = budgets.organization
            and spends.dimension = budgets.dimension
            and spends.scope_value = budgets.scope_value

    where
        (spends.organization, spends.dimension, spends.scope_value) in (
            select
                scopes.organization,
                scopes.dimension,
                scopes.scope_value
            from budgets as scopes
        )
        and spends.currency in (budgets.currency, '')

),

-- Ticks with calls before and after the allocation.
(  -- noqa: ST03
    select groupUniqArray((budget_number, tick))

    from rolled

    where
        first_offset <= arrayMax(item -> item.7, budget_list)
        and first_offset <= allocated_offset
        and last_offset >= allocated_offset
) as split_ticks,

splits as (

    select
        listed.split.1 as budget_number,
        listed.split.2 as tick

    from (select arrayJoin(split_ticks) as split) as listed

),

(
    select groupUniqArray(toStartOfHour(fromUnixTimestamp64Second(listed.start_s, 'UTC')))

    from (
        select arrayJoin([tick * {{ tick_s() }}, (tick + 1) * {{ tick_s() }} - 1]) as start_s
        from splits
    ) as listed
) as split_hours,

(  -- noqa: ST03
    select
        coalesce(
            minOrNullIf(fromUnixTimestamp64Micro(oldest_us, 'UTC'), is_rolled and not is_ticked),
            toDateTime64('2299-12-31 00:00:00', 6, 'UTC')
        )

    from budgets
) as oldest_time,

(select groupUniqArrayIf(scope_value, not is_rolled) from budgets) as unrolled_values,  -- noqa: ST03

singles as (

    select
        *,
        true as is_beyond

    from ({{ budget_spends(is_beyond('absorbed', 'rows')) }}) as beyond

    union all

    select
        *,
        false as is_beyond

    from ({{ budget_spends(
        "(rows.`time` >= oldest_time or toStartOfHour(rows.`time`) in (select arrayJoin(split_hours))"
        ~ " or (notEmpty(unrolled_values) and (has(unrolled_values, rows.user) or has(unrolled_values, rows.session))))"
        ~ " and not " ~ is_beyond('absorbed', 'rows')
    ) }}) as absorbed_rows

),

scoped as (

    select
        *,
        arrayJoin(arrayDistinct(arrayMap(item -> item.3, budget_list))) as dimension,
        multiIf(
            {{ scope_branches('dimension') }},
            ''
        ) as scope_value

    from singles

),

bucketed as (

    select
        budget_number,
        bucket,
        oldest_bucket,
        spend,
        greatest_amount,
        unknown_calls,
        unknown_tokens,
        unbounded_calls,
        last_spent_us

    from rolled

    where first_offset > allocated_offset and (budget_number, tick) not in (select splits.* from splits)

    union all

    select
        budgets.budget_number as budget_number,
        least(intDiv(scoped.occurred_us, 1000000 * budgets.bucket_s), budgets.now_bucket) as bucket,
        budgets.oldest_bucket as oldest_bucket,
        scoped.spend as spend,
        scoped.greatest_amount as greatest_amount,
        scoped.unknown_calls as unknown_calls,
        scoped.unknown_tokens as unknown_tokens,
        scoped.unbounded_calls as unbounded_calls,
        scoped.occurred_us as last_spent_us

    from scoped

    inner join budgets
        on
            scoped.organization = budgets.organization
            and scoped.dimension = budgets.dimension
            and scoped.scope_value = budgets.scope_value

    where
        scoped.currency in (budgets.currency, '')
        and (scoped.call_offset, reinterpretAsInt32(scoped.call_index))
        > (budgets.first_offset, budgets.first_index)
        and (
            scoped.is_beyond
            or not budgets.is_rolled
            or (not budgets.is_ticked and scoped.occurred_us >= budgets.oldest_us)
            or (budgets.budget_number, intDiv(scoped.occurred_us, {{ 1000000 * tick_s() }}))
            in (select splits.* from splits)
        )

),

summed as (

    select
        bucketed.budget_number as budget_number,
        greatest(bucketed.bucket, bucketed.oldest_bucket - 1) as bucket,
        any(bucketed.bucket >= bucketed.oldest_bucket) as is_in_window,
        {{ spend_sums('bucketed') }},
        max(bucketed.last_spent_us) as last_spent_us

    from bucketed

    group by
        budget_number,
        bucket

),

final as (

    select
        tupleElement(budget_list[budget_number], 1) as budget_key,
        {{ by_bucket('spend') }} as spend_of_bucket,
        {{ by_bucket('greatest_amount') }} as greatest_of_bucket,
        {{ by_bucket('unknown_calls') }} as unknown_calls_of_bucket,
        {{ by_bucket('unknown_tokens') }} as unknown_tokens_of_bucket,
        {{ by_bucket('unbounded_calls') }} as unbounded_calls_of_bucket,
        fromUnixTimestamp64Micro(max(last_spent_us), 'UTC') as last_spent_at

    from summed

    group by budget_number

)

select * from final
