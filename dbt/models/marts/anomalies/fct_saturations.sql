-- A minute is saturated where at least a fifth of its calls, and five, were refused for load. Saturated
-- minutes that lie less than six minutes apart are one saturation.
with

{{ absorbed_offsets(ref('rollup_provider_minutes')) }} as absorbed,

minutes as (

    select
        organization,
        provider,
        model,
        charge_minute,
        sum(calls) as calls,
        sum(refused_calls) as refused_calls,
        sum(retries) as retries

    from (
        select
            organization,
            provider,
            model,
            charge_minute,
            calls::Int64 as calls,
            refused_calls::Int64 as refused_calls,
            retries::Int64 as retries

        from {{ ref('rollup_provider_minutes') }}

        union all

        select
            organization,
            provider,
            model,
            {{ minute_of('occurred_at') }} as charge_minute,
            calls,
            refused_calls,
            retries

        from ({{ sent_calls('absorbed') }})
    )

    group by
        organization,
        provider,
        model,
        charge_minute

),

clocks as (

    select
        organization,
        max(charge_minute) as present

    from minutes

    group by organization

),

saturated as (

    select
        *,
        dateDiff('minute', lagInFrame(charge_minute, 1, charge_minute) over provider_minutes, charge_minute)
            as gap

    from minutes

    where refused_calls >= 5 and refused_calls >= 0.2 * calls

    window provider_minutes as (
        partition by organization, provider, model
        order by charge_minute
        rows between 1 preceding and current row
    )

),

numbered as (

    select
        *,
        sum(gap > 5) over (
            partition by organization, provider, model
            order by charge_minute
        ) as run

    from saturated

),

final as (

    select
        numbered.organization as organization,
        numbered.provider as provider,
        numbered.model as model,
        min(numbered.charge_minute) as began_at,
        addMinutes(began_at, 1) as detected_at,
        if(
            dateDiff('minute', max(numbered.charge_minute), any(clocks.present)) > 5,
            addMinutes(max(numbered.charge_minute), 1),
            null
        ) as ended_at,
        concat(
            'saturation-',
            lower(hex(sipHash64(organization, provider, model, began_at)))
        ) as saturation_id,
        toUInt64(count()) as minutes,
        sum(numbered.calls) as calls,
        sum(numbered.refused_calls) as refused_calls,
        sum(numbered.retries) as retries

    from numbered

    inner join clocks on numbered.organization = clocks.organization

    group by
        organization,
        provider,
        model,
        numbered.run

)

select * from final
