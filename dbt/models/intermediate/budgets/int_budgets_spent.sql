-- Spend of each budget by tumbling bucket, a sixtieth of its window. As in the folds, a budget counts
-- billed cost in its currency, of entries after its first allocation on the log. Beside it stand the calls
-- whose spend is not known, also those in quarantine whose totals contradict their classes, and the most
-- that they may cost. A call without a price has no currency and counts in every budget of its scopes; one
-- on a customer's own key costs nothing. A reversal or a restatement counts where the entry does that
-- it takes back or restates. What is spent ahead of the log's time stands in its present bucket. The index
-- of what fell due with a record has its highest bit set, and comes before the record's own.
with

logs as (

    select * from {{ ref('int_log_clocks') }}

),

budgets as (

    select
        allocated.*,
        intDiv(
            toUnixTimestamp64Micro(toDateTime64(logs.now_at, 6, 'UTC')), 1000000 * allocated.bucket_s
        ) as now_bucket

    from {{ ref('int_budgets_allocated') }} as allocated

    left join logs
        on allocated.log_partition = logs.log_partition

),

counted as (

    select
        *,
        payer != 'customer' and pricing in ('unknown', 'unpriced', 'partially_priced') as is_unknown,
        if(is_unknown, coalesce(greatest_unpriced_cost, 0), 0)::Decimal(38, 12) as greatest_cost,
        if(is_unknown and greatest_unpriced_cost is null, calls, 0) as unbounded_calls,
        if(payer = 'customer', 0, unpriced_tokens) + if(is_unknown, unknown_tokens, 0) as tokens_without_cost

    from {{ ref('int_calls_unioned') }}

),

calls as (

    select
        log_offset,
        call_offset,
        call_index,
        accepted_at,
        organization,
        occurred_at,
        currency,
        arrayJoin((select groupUniqArray(budgets.dimension) from budgets)) as dimension,
        multiIf(
            {{ budget_scope_branches('dimension') }},
            ''
        ) as scope_value,
        coalesce(billed_cost, 0)::Decimal(38, 12) as billed_cost,
        greatest_cost as greatest_unpriced_cost,
        if(is_unknown, calls, 0) as unknown_calls,
        tokens_without_cost as unknown_tokens,
        unbounded_calls

    from counted

    where billed_cost != 0 or is_unknown or tokens_without_cost != 0

),

-- Bounds of calls that were quarantined ahead of the log's time: no window has them.
ahead as (

    select
        log_partition,
        log_offset,
        event_index

    from {{ ref('int_calls_measured') }}

    where outcome = 'quarantined' and occurred_at > accepted_at + interval 300 second

),

quarantined as (

    select
        log_offset,
        if(
            outcome in ('reversal', 'restatement'), coalesce(first_offset, log_offset), log_offset
        ) as call_offset,
        if(
            outcome in ('reversal', 'restatement'), coalesce(first_index, event_index), event_index
        ) as call_index,
        accepted_at,
        organization,
        occurred_at,
        currency,
        arrayJoin((select groupUniqArray(budgets.dimension) from budgets)) as dimension,
        multiIf(
            {{ budget_scope_branches('dimension') }},
            ''
        ) as scope_value,
        0::Decimal(38, 12) as billed_cost,
        coalesce(greatest_unpriced_cost, 0)::Decimal(38, 12) as greatest_unpriced_cost,
        quarantined_calls as unknown_calls,
        unknown_tokens,
        unbounded_calls

    from {{ ref('int_calls_measured') }}

    where
        quarantined_calls != 0
        and pricing in ('unknown', 'unpriced', 'partially_priced')
        and payer != 'customer'
        and (outcome != 'quarantined' or reason = 'token_totals_mismatch')
        and (log_partition, call_offset, call_index) not in (select ahead.* from ahead)

),

unioned as (

    select * from calls

    union all

    select * from quarantined

),

spends as (

    select *

    from unioned

    where billed_cost != 0 or unknown_calls != 0 or unknown_tokens != 0

),

bucketed as (

    select
        budgets.budget_key as budget_key,
        least(
            intDiv(toUnixTimestamp64Micro(spends.occurred_at), 1000000 * budgets.bucket_s), budgets.now_bucket
        ) as bucket,
        sum(spends.billed_cost) as spend,
        sum(spends.greatest_unpriced_cost) as greatest_amount,
        sum(spends.unknown_calls) as unknown_calls,
        sum(spends.unknown_tokens) as unknown_tokens,
        sum(spends.unbounded_calls) as unbounded_calls,
        max(spends.occurred_at) as last_spent_at

    from spends

    inner join budgets
        on spends.scope_value = budgets.scope_value

    where
        spends.dimension = budgets.dimension
        and spends.organization = budgets.organization
        and spends.currency in (budgets.currency, '')
        and (
            spends.call_offset > budgets.first_offset
            or (
                spends.call_offset = budgets.first_offset
                and reinterpretAsInt32(spends.call_index) > budgets.first_index
            )
        )

    group by
        budget_key,
        bucket

),

final as (

    select
        budget_key,
        mapFromArrays(groupArray(bucket), groupArray(spend)) as spend_of_bucket,
        mapFromArrays(groupArray(bucket), groupArray(greatest_amount)) as greatest_of_bucket,
        mapFromArrays(groupArray(bucket), groupArray(unknown_calls)) as unknown_calls_of_bucket,
        mapFromArrays(groupArray(bucket), groupArray(unknown_tokens)) as unknown_tokens_of_bucket,
        mapFromArrays(groupArray(bucket), groupArray(unbounded_calls)) as unbounded_calls_of_bucket,
        max(last_spent_at) as last_spent_at

    from bucketed

    group by budget_key

)

select * from final
