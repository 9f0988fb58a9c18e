-- Control records of grants that were applied, in the order of the log. One without an end lasts.
with

decisions as (

    select * from {{ ref('stg_tally__decisions') }}

    where
        decision = 'control.applied'
        and control_type in (
            'grant.created', 'grant.delegated', 'grant.narrowed', 'grant.extended', 'grant.revoked'
        )

),

final as (

    select
        log_partition,
        organization,
        log_offset,
        seq,
        control_type,
        control_type in ('grant.created', 'grant.delegated') as is_start,
        JSONExtractString(body, 'grant') as grant_name,
        parseDateTime64BestEffortOrNull(JSONExtractString(body, 'until'), 6, 'UTC') as until_at,
        parseDateTime64BestEffortOrNull(JSONExtractString(body, 'expires_at'), 6, 'UTC') as expires_at,
        effective_at,
        known_at,
        {{ json_set('body') }} as allow,
        JSONExtractArrayRaw(body, 'limits') as limits,
        body

    from decisions

)

select * from final
