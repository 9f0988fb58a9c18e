-- Reports of limits (`grant.metered`): a row for what a limit holds beside what is used, and one for each
-- bucket that the report has. What never ends does so in 2262.
with

decisions as (

    select
        log_partition,
        log_offset,
        toUInt64({{ log_position() }}) as log_position,
        accepted_at as reported_at,
        organization,
        JSONExtractString(body, 'grant') as grant_name,
        JSONExtractString(body, 'limit') as limit_key,
        {{ json_amount('body', 'reserved') }} as reserved_amount,
        {{ json_amount('body', 'leased') }} as leased_amount,
        JSONExtract(body, 'crossed', 'Array(UInt16)') as crossed_percents,
        arrayJoin(arrayPushFront(JSONExtractArrayRaw(body, 'buckets'), '')) as bucket_raw

    from {{ ref('stg_tally__decisions') }}

    where decision = 'grant.metered'

),

final as (

    select
        * except (bucket_raw),
        toUInt8(bucket_raw != '') as is_bucket,
        JSONExtractInt(bucket_raw, 'bucket') as bucket,
        fromUnixTimestamp64Micro(JSONExtractInt(bucket_raw, 'starts_us'), 'UTC') as starts_at,
        if(
            JSONExtractInt(bucket_raw, 'ends_us') = 0,
            toDateTime64('2262-01-01 00:00:00', 6, 'UTC'),
            fromUnixTimestamp64Micro(JSONExtractInt(bucket_raw, 'ends_us'), 'UTC')
        ) as ends_at,
        if(is_bucket, {{ json_amount('bucket_raw', 'used') }}, 0)::Decimal(38, 12) as used_amount,
        JSONExtractInt(bucket_raw, 'unknown_calls') as unknown_calls

    from decisions

)

select * from final
