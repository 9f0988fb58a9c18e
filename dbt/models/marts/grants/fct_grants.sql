-- A grant is stopped by itself or by a grant above it: by the first on its path that is over or has not
-- started, else by the first that is paused. What it allows and holds lies within every grant above it.
with

records as (

    select
        records.*,
        clocks.now_ends_at as now_at,
        (records.log_offset, records.seq) as log_position,
        records.until_at is null as is_lasting,
        records.until_at > clocks.now_ends_at as is_narrowing

    from {{ ref('int_grant_records') }} as records

    left join {{ ref('int_log_clocks') }} as clocks
        on records.log_partition = clocks.log_partition

),

grants as (

    select
        organization,
        grant_name,
        anyIf(JSONExtractString(body, 'parent'), is_start) as parent_name,
        anyIf(JSONExtractString(body, 'dimension'), is_start) as dimension,
        anyIf(JSONExtractString(body, 'scope'), is_start) as scope_value,
        anyIf(control_type = 'grant.delegated', is_start) as is_delegated,
        anyIf(JSONExtractString(body, 'actor'), is_start) as granted_by,
        anyIf(JSONExtractString(body, 'reason'), is_start) as reason,
        anyIf(effective_at, is_start) as starts_at,
        argMaxIf(expires_at, log_position, is_lasting and expires_at is not null) as expires_at,
        argMaxIf(
            JSONExtractBool(body, 'delegable'), log_position, is_lasting and JSONHas(body, 'delegable')
        ) as is_delegable,
        argMaxIf(
            JSONExtractBool(body, 'paused'), log_position, is_lasting and JSONHas(body, 'paused')
        ) as is_paused,
        minIf(known_at, control_type = 'grant.revoked') as revoked_at,
        arrayFold(
            (lists, change) -> mapUpdate(lists, tupleElement(change, 2)),
            arraySort(change -> tupleElement(change, 1), groupArrayIf((log_position, allow), is_lasting)),
            cast(map(), 'Map(String, Array(String))')
        ) as allow,
        countIf(is_narrowing) as narrowings,
        maxIf(until_at, is_narrowing) as narrowed_until,
        countIf(is_narrowing and JSONExtractBool(body, 'paused')) > 0 as has_pause,
        max(known_at) as changed_at,
        any(now_at) as as_of

    from records

    group by
        organization,
        grant_name

),

judged as (

    select
        *,
        multiIf(
            revoked_at is not null, 'revoked',
            as_of < starts_at, 'not started',
            as_of >= expires_at, 'expired',
            ''
        ) as own_end,
        is_paused or has_pause as is_stopped

    from grants

),

trees as (

    select
        organization,
        mapFromArrays(groupArray(grant_name), groupArray((parent_name, own_end, is_stopped))) as of_grant

    from judged

    group by organization

),

joined as (

    select
        judged.*,
        trees.of_grant as of_grant

    from judged

    inner join trees
        on judged.organization = trees.organization

),

placed as (

    select
        *,
        arrayFold(
            (steps, level) -> if(
                tupleElement(of_grant[arrayElement(steps, -1)], 1) = '',
                steps,
                arrayPushBack(steps, tupleElement(of_grant[arrayElement(steps, -1)], 1))
            ),
            range(8),
            [grant_name]
        ) as steps,
        arrayFirst(step -> tupleElement(of_grant[step], 2) != '', steps) as ended_by,
        arrayFirst(step -> tupleElement(of_grant[step], 3), steps) as paused_by,
        multiIf(
            ended_by != '', tupleElement(of_grant[ended_by], 2),
            paused_by != '', 'paused',
            ''
        ) as stop_reason,
        if(ended_by != '', ended_by, paused_by) as stopped_by

    from joined

),

final as (

    select
        concat(organization, '/', grant_name) as grant_key,
        organization,
        grant_name,
        parent_name,
        toUInt8(length(steps) - 1) as depth,
        arrayReverse(steps) as path,
        dimension,
        scope_value,
        if(stop_reason = '', 'active', stop_reason) as state,
        if(stopped_by = grant_name, '', stopped_by) as stopped_by,
        cast(allow, 'Map(LowCardinality(String), Array(String))') as allow,
        starts_at,
        expires_at,
        revoked_at,
        toUInt8(is_delegable) as is_delegable,
        toUInt8(is_delegated) as is_delegated,
        granted_by,
        reason,
        narrowings,
        narrowed_until,
        changed_at,
        as_of

    from placed

)

select * from final
