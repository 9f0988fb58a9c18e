-- Spend of each budget by tumbling bucket, a sixtieth of its window, of the buckets that its present window has. As in
-- the folds, a budget counts billed cost in its currency, of entries after its first allocation on the log, and beside
-- it the calls whose spend is not known. What is spent ahead of the log's time stands in its present bucket. The index
-- of what fell due with a record has its highest bit set, and comes before the record's own.
-- Whole ticks are read from the rollup. Single rows are read where it has no figure: beyond its position, of windows
-- whose buckets are not whole ticks, of scopes that it leaves out, and of ticks in which a budget begins to count.
with

{{ absorbed_offsets(ref('rollup_budget_ticks')) }} as absorbed,

(
    select groupArray((
        allocated.budget_key,
        allocated.organization::String,
        allocated.dimension::String,
        allocated.scope_value,
        allocated.currency::String,
        allocated.bucket_s,
        allocated.first_offset,
        allocated.first_index,
        intDiv(toUnixTimestamp64Micro(toDateTime64(logs.now_at, 6, 'UTC')), 1000000 * allocated.bucket_s)
    ))

    from {{ ref('int_budgets_allocated') }} as allocated

    left join {{ ref('int_log_clocks') }} as logs
        on allocated.log_partition = logs.log_partition
) as budget_list,

budgets as (

    select
        budget_number,
        budget.2 as organization,
        budget.3 as dimension,
        budget.4 as scope_value,
        budget.5 as currency,
        budget.6 as bucket_s,
        budget.7 as first_offset,
        budget.8 as first_index,
        budget.9 as now_bucket,
        dimension not in ('{{ unrolled_dimensions() | join("', '") }}') as is_rolled,
        is_rolled and bucket_s % {{ tick_s() }} = 0 as is_ticked,
        now_bucket - 60 as oldest_bucket,
        1000000 * bucket_s * oldest_bucket as oldest_us

    from (
        select
            arrayJoin(arrayEnumerate(budget_list)) as budget_number,
            budget_list[budget_number] as budget
    )

),

-- Rows of the rollup, by the budgets of their scopes.
{% set rolled_join %}
    from {{ ref('rollup_budget_ticks') }} as spends

    inner join budgets
        on
            spends.organization = budgets.organization
            and spends.dimension = budgets.dimension
            and spends.scope_value = budgets.scope_value

    where
        (spends.organization, spends.dimension, spends.scope_value) in (
            select
                budgets.organization,
                budgets.dimension,
                budgets.scope_value
            from budgets
        )
        and spends.currency in (budgets.currency, '')
{% endset %}
{% set split_rows %}
    select
        tupleElement(split, 1),
        tupleElement(split, 2)
    from (select arrayJoin(split_ticks) as split)
{% endset %}
-- Ticks with calls before and after the allocation.
(
    select groupUniqArray((budgets.budget_number, spends.tick))

    {{ rolled_join }}
        and spends.first_offset <= (select max(budgets.first_offset) from budgets)
        and spends.first_offset <= budgets.first_offset
        and spends.last_offset >= budgets.first_offset
) as split_ticks,

(
    select coalesce(
        minOrNullIf(fromUnixTimestamp64Micro(budgets.oldest_us, 'UTC'), budgets.is_rolled and not budgets.is_ticked),
        toDateTime64('2299-12-31 00:00:00', 6, 'UTC')
    )
    from budgets
) as oldest_time,

(
    select groupUniqArray(toStartOfHour(fromUnixTimestamp64Second(start_s, 'UTC')))
    from (
        select arrayJoin([split.2 * {{ tick_s() }}, (split.2 + 1) * {{ tick_s() }} - 1]) as start_s
        from (select arrayJoin(split_ticks) as split)
    )
) as split_hours,

(select groupUniqArrayIf(budgets.scope_value, not budgets.is_rolled) from budgets) as unrolled_values,

singles as (

    select
        *,
        true as is_beyond

    from ({{ budget_spends(is_beyond('absorbed', 'rows')) }})

    union all

    select
        *,
        false as is_beyond

    from ({{ budget_spends(
        "(rows.`time` >= oldest_time or toStartOfHour(rows.`time`) in (select arrayJoin(split_hours))"
        ~ " or (notEmpty(unrolled_values) and (has(unrolled_values, rows.user) or has(unrolled_values, rows.session))))"
        ~ " and not " ~ is_beyond('absorbed', 'rows')
    ) }})

),

scoped as (

    select
        singles.*,
        arrayJoin(arrayDistinct(arrayMap(budget -> budget.3, budget_list))) as dimension,
        multiIf(
            {{ scope_branches('dimension', budget_columns() | map(attribute=0) | list) }},
            ''
        ) as scope_value

    from singles

),

bucketed as (

    select
        budgets.budget_number as budget_number,
        if(
            budgets.is_ticked,
            least(intDiv(spends.tick * {{ tick_s() }}, budgets.bucket_s), budgets.now_bucket),
            budgets.oldest_bucket - 1
        ) as bucket,
        budgets.oldest_bucket as oldest_bucket,
        spends.spend as spend,
        spends.greatest_amount as greatest_amount,
        spends.unknown_calls as unknown_calls,
        spends.unknown_tokens as unknown_tokens,
        spends.unbounded_calls as unbounded_calls,
        spends.last_spent_us as last_spent_us

    {{ rolled_join }}
        and spends.first_offset > budgets.first_offset
        and (budgets.budget_number, spends.tick) not in ({{ split_rows }})

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
        and (scoped.call_offset, reinterpretAsInt32(scoped.call_index)) > (budgets.first_offset, budgets.first_index)
        and (
            scoped.is_beyond
            or not budgets.is_rolled
            or (not budgets.is_ticked and scoped.occurred_us >= budgets.oldest_us)
            or (budgets.budget_number, intDiv(scoped.occurred_us, {{ 1000000 * tick_s() }})) in ({{ split_rows }})
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
        {% for name, measure in [
            ('spend', 'spend'), ('greatest', 'greatest_amount'), ('unknown_calls', 'unknown_calls'),
            ('unknown_tokens', 'unknown_tokens'), ('unbounded_calls', 'unbounded_calls'),
        ] %}
        mapSort(mapFromArrays(groupArrayIf(bucket, is_in_window), groupArrayIf({{ measure }}, is_in_window)))
        as {{ name }}_of_bucket,
        {% endfor %}
        fromUnixTimestamp64Micro(max(last_spent_us), 'UTC') as last_spent_at

    from summed

    group by budget_number

)

select * from final
