-- Limits of grants by their last report, and budgets, each of which is a limit that only warns. A rolling
-- window is the bucket of a sixtieth that holds the log's time, and the sixty before it. Its burn rate is
-- that of its last tenth; of a period, and of the life of a grant, what was used since it began, over an
-- hour at least. Used up is when that rate, and what leaves the window by then, meet what is left.
with

grant_limits as (

    select
        'grant' as kind,
        limits.organization as organization,
        limits.grant_name as grant_name,
        grants.path as path,
        grants.state as state,
        grants.dimension as dimension,
        grants.scope_value as scope_value,
        limits.limit_key as limit_key,
        splitByChar('/', limits.limit_key)[1] as meter,
        JSONExtractString(limits.limit_raw, 'currency') as currency,
        JSONExtractUInt(limits.limit_raw, 'window', 'rolling_s') as window_s,
        arrayStringConcat(arraySlice(splitByChar('/', limits.limit_key), 3), '/') as window_name,
        limits.limit_amount as limit_amount,
        toUInt8(limits.is_narrowed) as is_narrowed,
        if(
            JSONHas(limits.limit_raw, 'at_limit'), JSONExtractString(limits.limit_raw, 'at_limit'), 'deny'
        ) as at_limit,
        JSONExtractString(limits.limit_raw, 'downgrade_to') as downgrade_to,
        if(
            JSONHas(limits.limit_raw, 'unknown_usage'),
            JSONExtractString(limits.limit_raw, 'unknown_usage'),
            'assume_greatest'
        ) as unknown_usage,
        meters.used_amount as used_amount,
        meters.reserved_amount as reserved_amount,
        meters.leased_amount as leased_amount,
        toUInt64(meters.unknown_calls) as unknown_calls,
        meters.crossed_percents as crossed_percents,
        limits.now_at as clock_at,
        greatest(meters.last_bucket_starts_at, grants.starts_at) as counts_since,
        meters.used_of_bucket as used_of_bucket,
        meters.last_use_ends_at as refills_at,
        '' as warning,
        toNullable(meters.reported_at) as reported_at

    from {{ ref('int_grant_limits') }} as limits

    inner join {{ ref('fct_grants') }} as grants
        on limits.organization = grants.organization and limits.grant_name = grants.grant_name

    left join {{ ref('int_grant_meters') }} as meters
        on
            limits.organization = meters.organization
            and limits.grant_name = meters.grant_name
            and limits.limit_key = meters.limit_key

),

windowed_limits as (

    select
        * except (used_of_bucket),
        if(
            window_s > 0, intDiv(toUnixTimestamp64Micro(clock_at), 1000000 * intDiv(window_s, 60)), 0
        ) as last_bucket,
        if(
            window_s > 0,
            arrayMap(bucket -> used_of_bucket[bucket], range(last_bucket - 60, last_bucket + 1)),
            []
        ) as used_by_bucket,
        if(
            window_s > 0,
            fromUnixTimestamp64Micro(1000000 * intDiv(window_s, 60) * (last_bucket + 1), 'UTC'),
            refills_at
        ) as window_ends_at

    from grant_limits

),

budgets as (

    select
        'budget' as kind,
        organization,
        '' as grant_name,
        emptyArrayString() as path,
        'active' as state,
        dimension,
        scope_value,
        concat('billed/', currency, '/', window_name) as limit_key,
        'billed' as meter,
        currency,
        window_s,
        concat(toString(window_s), 's') as window_name,
        assumeNotNull(limit_amount) as limit_amount,
        toUInt8(0) as is_narrowed,
        'warn' as at_limit,
        '' as downgrade_to,
        unknown_usage,
        used_amount,
        toDecimal128(0, 12) as reserved_amount,
        toDecimal128(0, 12) as leased_amount,
        toUInt64(unknown_calls) as unknown_calls,
        if(fired_percent = 0, emptyArrayUInt16(), [fired_percent]) as crossed_percents,
        clock_at,
        allocated_at as counts_since,
        null as refills_at,
        warning,
        clock_at as reported_at,
        spend_by_bucket as used_by_bucket,
        window_ends_at

    from {{ ref('fct_budgets') }}

),

unioned as (

    select * except (last_bucket) from windowed_limits

    union all

    select * from budgets

),

measured as (

    select
        *,
        limit_amount - used_amount - reserved_amount - leased_amount as room,
        intDiv(window_s, 60) as bucket_s,
        dateDiff('microsecond', clock_at, window_ends_at) / 1e6 as until_end_s,
        if(window_s > 0, arraySum(arraySlice(used_by_bucket, -7)), used_amount) as recent_amount,
        if(
            window_s > 0,
            7 * bucket_s - until_end_s,
            greatest(dateDiff('microsecond', counts_since, clock_at) / 1e6, 3600)
        ) as recent_s,
        if(recent_s > 0, toFloat64(recent_amount) / recent_s, 0) as rate,
        arrayPushFront(arrayCumSum(arrayMap(amount -> toFloat64(amount), used_by_bucket)), 0) as freed,
        arrayFirstIndex(
            (amount, step) -> (toFloat64(room) + amount) / rate <= until_end_s + step * bucket_s,
            freed,
            range(length(freed))
        ) as last_step,
        (toFloat64(room) + if(window_s > 0, freed[last_step], 0)) / rate as wait_s

    from unioned

),

final as (

    select
        concat(
            organization, '/', if(kind = 'grant', grant_name, concat(dimension, '=', scope_value))
        ) as holder_key,
        concat(holder_key, '/', limit_key) as limit_id,
        kind,
        organization,
        grant_name,
        path,
        state,
        dimension,
        scope_value,
        limit_key,
        meter,
        currency,
        window_name,
        window_s,
        at_limit,
        downgrade_to,
        unknown_usage,
        is_narrowed,
        limit_amount,
        used_amount,
        reserved_amount,
        leased_amount,
        greatest(room, toDecimal128(0, 12)) as left_amount,
        toUInt8(room <= 0) as is_used_up,
        unknown_calls,
        crossed_percents,
        warning,
        used_by_bucket,
        assumeNotNull(toDecimal128(
            if(recent_s > 0, divideDecimal(recent_amount * 3600, toDecimal64(recent_s, 6), 12), 0), 12
        )) as burn_per_hour,
        if(
            room > 0 and rate > 0 and wait_s < 315360000
            and if(
                window_s > 0,
                last_step > 0,
                window_ends_at is null or addMicroseconds(clock_at, toInt64(wait_s * 1e6)) < window_ends_at
            ),
            addMicroseconds(clock_at, toInt64(wait_s * 1e6)),
            null
        ) as used_up_at,
        window_ends_at,
        refills_at,
        reported_at,
        clock_at

    from measured

)

select * from final
