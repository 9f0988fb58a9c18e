-- What each budget saw of spend, by tumbling bucket, a sixtieth of its window. As the folds do, it counts
-- billed cost in the budget's currency, of what stands behind the budget's first allocation on the log.
{% set columns = {
    'organization': 'organization', 'team': 'team', 'project': 'project', 'feature': 'feature',
    'environment': 'environment', 'user': 'user_pseudonym', 'customer': 'customer', 'key': 'key_fingerprint',
    'agent': 'agent', 'session': 'session'
} %}
with

budgets as (

    select * from {{ ref('int_budgets_allocated') }}

),

entries as (

    select
        *,
        -- the greatest is the latest; of those of one time, the first on the log
        bitShiftLeft(toInt128(toUnixTimestamp64Micro(occurred_at)), 64) - log_offset as place

    from {{ ref('int_entries_measured') }}

    where billed_cost > 0

),

spends as (
    {% for dimension, column in columns.items() %}
    select
        budgets.budget_key as budget_key,
        budgets.bucket_s as bucket_s,
        entries.occurred_at as occurred_at,
        entries.log_offset as log_offset,
        entries.accepted_at as accepted_at,
        entries.place as place,
        entries.billed_cost as billed_cost

    from entries

    inner join budgets
        on entries.{{ column }} = budgets.scope_value

    where
        budgets.dimension = '{{ dimension }}'
        and budgets.organization = entries.organization
        and budgets.currency = entries.currency
        and (
            entries.log_offset > budgets.first_offset
            or (entries.log_offset = budgets.first_offset and entries.event_index > budgets.first_index)
        )
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}
),

bucketed as (

    select
        budget_key,
        intDiv(toUnixTimestamp64Micro(occurred_at), 1000000 * bucket_s) as bucket,
        sum(billed_cost) as spend,
        max(occurred_at) as last_spent_at,
        argMax(log_offset, place) as last_seen_offset,
        argMax(accepted_at, place) as last_seen_at

    from spends

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
