-- The limits of each grant that are in force: of each identity the last that a lasting record sets, or the
-- least that a narrowing with an end sets below it.
with

settings as (

    select
        records.organization as organization,
        records.grant_name as grant_name,
        (records.log_offset, records.seq) as log_position,
        records.until_at as until_at,
        clocks.now_ends_at as now_at,
        arrayJoin(records.limits) as limit_raw

    from {{ ref('int_grant_records') }} as records

    left join {{ ref('int_log_clocks') }} as clocks
        on records.log_partition = clocks.log_partition

    where records.until_at is null or records.until_at > clocks.now_ends_at

),

keyed as (

    select
        *,
        {{ limit_key_of('limit_raw') }} as limit_key,
        {{ json_amount('limit_raw', 'amount') }} as limit_amount

    from settings

),

candidates as (

    select
        organization,
        grant_name,
        limit_key,
        until_at is not null as is_narrowing,
        if(is_narrowing, log_position, (toUInt64(0), toUInt32(0))) as narrowing_position,
        argMax(limit_raw, log_position) as setting,
        argMax(limit_amount, log_position) as amount,
        any(now_at) as now_at

    from keyed

    group by
        organization,
        grant_name,
        limit_key,
        is_narrowing,
        narrowing_position

),

final as (

    select
        organization,
        grant_name,
        limit_key,
        argMin(setting, (amount, narrowing_position)) as limit_raw,
        min(amount) as limit_amount,
        argMin(is_narrowing, (amount, narrowing_position)) as is_narrowed,
        any(now_at) as now_at

    from candidates

    group by
        organization,
        grant_name,
        limit_key

)

select * from final
