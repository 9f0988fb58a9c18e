-- Calls of each runaway by the minute in which they happened. A budget's crossing has no calls of its own.
with

calls as (

    select * from {{ ref('fct_runaway_calls') }}

),

final as (

    select
        alert_id as episode_id,
        toStartOfMinute(toDateTime(occurred_at, 'UTC')) as minute_at,
        organization,
        count() as calls,
        sum(is_repeat) as repeats,
        sum(tokens) as tokens,
        sumMapIf(map(toString(currency), coalesce(list_cost, toDecimal128(0, 12))), currency != '') as spent

    from calls

    group by episode_id, minute_at, organization

)

select
    concat(episode_id, '/', toString(toUnixTimestamp(minute_at))) as episode_minute_key,
    *

from final
