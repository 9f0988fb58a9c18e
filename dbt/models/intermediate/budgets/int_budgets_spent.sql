-- Spend of each budget by tumbling bucket, a sixtieth of its window. As in the folds, a budget counts
-- billed cost in its currency, of entries after its first allocation on the log. Beside it stand the calls
-- whose spend is not known, also those in quarantine whose totals contradict their classes, and the most
-- that they may cost. A call without a price has no currency and counts in every budget of its scopes; one
-- on a customer's own key costs nothing. A reversal or a restatement counts where the entry does that
-- it takes back or restates. What is spent ahead of the log's time stands in its present bucket. The index
-- of what fell due with a record has its highest bit set, and comes before the record's own.
-- Calls are summed by account before they meet its budgets, those of one scope and currency: by ticks, of
-- which each bucket has a whole number, and apart where a budget begins to count.
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

accounts as (

    select
        organization as account_organization,
        dimension as account_dimension,
        scope_value as account_scope,
        currency as account_currency,
        row_number() over (
            order by account_organization, account_dimension, account_scope, account_currency
        ) as account_number,
        arraySort(groupUniqArray((first_offset, first_index))) as first_positions,
        max(first_offset) as last_start_offset,
        length(first_positions) as start_count,
        arrayFold(
            (divisor, length_s) -> gcd(divisor, length_s), groupUniqArray(bucket_s), min(bucket_s)
        ) as tick_s

    from budgets

    group by
        account_organization,
        account_dimension,
        account_scope,
        account_currency

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
        payer != 'customer' and pricing in ('unknown', 'unpriced', 'partially_priced') as is_unknown,
        coalesce(billed_cost, 0)::Decimal(38, 12) as spend,
        if(is_unknown, coalesce(greatest_unpriced_cost, 0), 0)::Decimal(38, 12) as greatest_amount,
        if(is_unknown, calls, 0) as unknown_calls,
        if(payer = 'customer', 0, unpriced_tokens) + if(is_unknown, unknown_tokens, 0) as tokens_without_cost,
        if(is_unknown and greatest_unpriced_cost is null, calls, 0) as unbounded_calls

    from {{ ref('int_calls_unioned') }}

),

-- Bounds of calls that were quarantined ahead of the log's time: no window has them.
ahead as (

    select
        events.`partition` as log_partition,
        events.`offset` as log_offset,
        events.event_index as event_index

    from {{ source('tally', 'events') }} as events

    where
        events.kind = 'inference'
        and events.outcome = 'quarantined'
        and events.`time` > events.accepted_at + interval 300 second

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
        0::Decimal(38, 12) as spend,
        coalesce(greatest_unpriced_cost, 0)::Decimal(38, 12) as greatest_amount,
        quarantined_calls as unknown_calls,
        unknown_tokens as tokens_without_cost,
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

    select * except (is_unknown) from calls

    union all

    select * from quarantined

),

ticked as (

    select
        accounts.account_number as account_number,
        intDiv(spends.occurred_us, 1000000 * accounts.tick_s) as tick,
        if(
            spends.call_offset > accounts.last_start_offset,
            accounts.start_count,
            {{ count_starts_before('accounts.first_positions', 'spends') }}
        ) as starts_before,
        sum(spends.spend) as spend,
        sum(spends.greatest_amount) as greatest_amount,
        sum(spends.unknown_calls) as unknown_calls,
        sum(spends.tokens_without_cost) as unknown_tokens,
        sum(spends.unbounded_calls) as unbounded_calls,
        max(spends.occurred_us) as last_spent_us

    from (
        select
            *,
            toUnixTimestamp64Micro(occurred_at) as occurred_us

        from unioned

        where spend != 0 or unknown_calls != 0 or tokens_without_cost != 0
    ) as spends

    inner join accounts
        on
            spends.organization = accounts.account_organization
            and spends.dimension = accounts.account_dimension
            and spends.scope_value = accounts.account_scope

    where spends.currency in (accounts.account_currency, '')

    group by
        account_number,
        tick,
        starts_before

),

bucketed as (

    select
        budgets.budget_key as budget_key,
        least(intDiv(ticked.tick * accounts.tick_s, budgets.bucket_s), budgets.now_bucket) as bucket,
        sum(ticked.spend) as spend,
        sum(ticked.greatest_amount) as greatest_amount,
        sum(ticked.unknown_calls) as unknown_calls,
        sum(ticked.unknown_tokens) as unknown_tokens,
        sum(ticked.unbounded_calls) as unbounded_calls,
        max(ticked.last_spent_us) as last_spent_us

    from ticked

    inner join accounts on ticked.account_number = accounts.account_number

    inner join budgets
        on
            accounts.account_organization = budgets.organization
            and accounts.account_dimension = budgets.dimension
            and accounts.account_scope = budgets.scope_value
            and accounts.account_currency = budgets.currency

    where
        ticked.starts_before
        >= indexOf(accounts.first_positions, (budgets.first_offset, budgets.first_index))

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
        fromUnixTimestamp64Micro(max(last_spent_us), 'UTC') as last_spent_at

    from bucketed

    group by budget_key

)

select * from final
