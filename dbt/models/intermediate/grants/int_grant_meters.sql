-- What each limit holds now, by its last reports (the rollup, and what lies beyond it): of the buckets those
-- that the window still has by the log's time.
with

{{ absorbed_offsets(ref('rollup_grant_meters')) }} as absorbed,

reports as (

    select * except (next_offset) from {{ ref('rollup_grant_meters') }}

    union all

    select
        log_partition,
        log_offset,
        log_position,
        reported_at,
        organization,
        grant_name,
        limit_key,
        is_bucket,
        bucket,
        starts_at,
        ends_at,
        reserved_amount,
        leased_amount,
        crossed_percents,
        used_amount,
        unknown_calls

    from {{ ref('int_grant_reports') }}

    where {{ is_beyond('absorbed') }}

),

meters as (

    select
        organization,
        grant_name,
        limit_key,
        argMax(reserved_amount, log_position) as reserved_amount,
        argMax(leased_amount, log_position) as leased_amount,
        argMax(crossed_percents, log_position) as crossed_percents,
        max(reported_at) as reported_at

    from reports

    where not is_bucket

    group by
        organization,
        grant_name,
        limit_key

),

buckets as (

    select
        organization,
        grant_name,
        limit_key,
        bucket,
        log_partition,
        argMax(used_amount, log_position) as used_amount,
        argMax(unknown_calls, log_position) as unknown_calls,
        argMax(starts_at, log_position) as starts_at,
        argMax(ends_at, log_position) as bucket_ends_at

    from reports

    where is_bucket and ends_at > (select min(clocks.now_ends_at) from {{ ref('int_log_clocks') }} as clocks)

    group by
        organization,
        grant_name,
        limit_key,
        bucket,
        log_partition

),

windows as (

    select
        buckets.organization as organization,
        buckets.grant_name as grant_name,
        buckets.limit_key as limit_key,
        sum(buckets.used_amount) as used_amount,
        sum(buckets.unknown_calls) as unknown_calls,
        mapFromArrays(groupArray(buckets.bucket), groupArray(buckets.used_amount)) as used_of_bucket,
        max(buckets.starts_at) as last_bucket_starts_at,
        maxOrNullIf(
            buckets.bucket_ends_at,
            buckets.used_amount != 0
            and buckets.bucket_ends_at < toDateTime64('2262-01-01 00:00:00', 6, 'UTC')
        ) as last_use_ends_at

    from buckets

    left join {{ ref('int_log_clocks') }} as clocks
        on buckets.log_partition = clocks.log_partition

    where buckets.bucket_ends_at > clocks.now_ends_at

    group by
        organization,
        grant_name,
        limit_key

),

final as (

    select
        meters.organization as organization,
        meters.grant_name as grant_name,
        meters.limit_key as limit_key,
        meters.reserved_amount as reserved_amount,
        meters.leased_amount as leased_amount,
        meters.crossed_percents as crossed_percents,
        meters.reported_at as reported_at,
        windows.used_amount as used_amount,
        windows.unknown_calls as unknown_calls,
        windows.used_of_bucket as used_of_bucket,
        windows.last_bucket_starts_at as last_bucket_starts_at,
        windows.last_use_ends_at as last_use_ends_at

    from meters

    left join windows
        on
            meters.organization = windows.organization
            and meters.grant_name = windows.grant_name
            and meters.limit_key = windows.limit_key

)

select * from final
