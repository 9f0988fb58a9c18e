-- The silence of a sender is measured in hours in which it is expected to send: each hour counts as the
-- share of the last eight weeks in which the same hour of the week had calls. So a night counts nothing to
-- a sender that sleeps at night. The time is that of events; the present is the greatest hour of the
-- organization.
with

{{ absorbed_offsets(ref('rollup_sender_hours')) }} as absorbed,

hours as (

    select
        organization,
        dimension,
        scope_value,
        charge_hour,
        calls::Int64 as calls

    from {{ ref('rollup_sender_hours') }}

    union all

    select
        organization,
        dimension,
        scope_value,
        charge_hour,
        calls

    from ({{ sender_hours('(' ~ sent_calls('absorbed') ~ ')') }})

),

clocks as (

    select
        organization,
        max(charge_hour) as present

    from hours

    group by organization

),

senders as (

    select
        organization,
        dimension,
        scope_value,
        min(charge_hour) as first_at

    from hours

    group by
        organization,
        dimension,
        scope_value

),

-- at most the last half year
spans as (

    select
        senders.organization as organization,
        senders.dimension as dimension,
        senders.scope_value as scope_value,
        greatest(
            intDiv(toUnixTimestamp(senders.first_at), 3600),
            intDiv(toUnixTimestamp(clocks.present), 3600) - 26 * 168
        ) as first_hour,
        intDiv(toUnixTimestamp(clocks.present), 3600) as present_hour

    from senders

    inner join clocks on senders.organization = clocks.organization

),

dense as (

    select
        organization,
        dimension,
        scope_value,
        hour_number,
        max(is_active) as is_active

    from (
        select
            organization,
            dimension,
            scope_value,
            toInt64(intDiv(toUnixTimestamp(charge_hour), 3600)) as hour_number,
            toUInt8(1) as is_active

        from hours

        where calls > 0

        union all

        select
            organization,
            dimension,
            scope_value,
            toInt64(arrayJoin(range(toUInt32(first_hour), toUInt32(present_hour + 1)))) as hour_number,
            toUInt8(0) as is_active

        from spans
    ) as hours_of_senders

    group by
        organization,
        dimension,
        scope_value,
        hour_number

),

expected as (

    select
        *,
        if(count() over same_hours >= 2, avg(is_active) over same_hours, 0) as share,
        sum(is_active) over sender_hours as run

    from dense

    window
        same_hours as (
            partition by organization, dimension, scope_value, hour_number % 168
            order by hour_number
            rows between 8 preceding and 1 preceding
        ),
        sender_hours as (
            partition by organization, dimension, scope_value
            order by hour_number
        )

),

weeks as (

    select
        *,
        sum(share) over (
            partition by organization, dimension, scope_value
            order by hour_number
            rows between 167 preceding and current row
        ) as week_share

    from expected

),

silences as (

    select
        organization,
        dimension,
        scope_value,
        run,
        min(hour_number) as last_hour,
        anyIf(week_share, is_active) as hours_a_week,
        arraySort(groupArrayIf((hour_number, share), not is_active)) as silent_hours,
        arrayCumSum(arrayMap(hour -> tupleElement(hour, 2), silent_hours)) as missed_by_hour,
        arraySum(arrayMap(hour -> tupleElement(hour, 2), silent_hours)) as missed

    from weeks

    where run > 0

    group by
        organization,
        dimension,
        scope_value,
        run

),

judged as (

    select
        *,
        max(missed) over (
            partition by organization, dimension, scope_value
            order by run
            rows between unbounded preceding and 1 preceding
        ) as longest_missed,
        leadInFrame(toNullable(last_hour)) over (
            partition by organization, dimension, scope_value
            order by run
            rows between current row and 1 following
        ) as next_hour,
        {{ missed_bound('hours_a_week', 'longest_missed') }} as bound,
        arrayFirstIndex(hours -> hours > bound, missed_by_hour) as detection

    from silences

),

final as (

    select
        organization,
        dimension,
        scope_value,
        concat(
            'silence-',
            lower(hex(sipHash64(organization, dimension, scope_value, last_hour)))
        ) as silence_id,
        {{ time_of_hour('last_hour') }} as last_at,
        {{ time_of_hour('last_hour + 1') }} as silent_since,
        {{ time_of_hour('tupleElement(silent_hours[detection], 1) + 1') }} as detected_at,
        if(next_hour is null, null, {{ time_of_hour('assumeNotNull(next_hour)') }}) as restored_at,
        hours_a_week,
        bound as tolerated_hours,
        missed as missed_hours

    from judged

    where hours_a_week > 0 and detection > 0

)

select * from final
