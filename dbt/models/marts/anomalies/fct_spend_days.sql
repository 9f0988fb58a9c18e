-- Days without spend are rows as well, from the first spend of a series on: else a median would skip them.
-- A weekday is to the median of the fourteen days before it as it was in the last eight weeks. What a day
-- is expected to be is the median of the seven days before it without their weekdays, with its own. All in
-- logarithms.
with

cells as (

    select
        organization,
        charge_day,
        currency,
        billed_cost,
        list_cost,
        calls,
        tokens,
        arrayJoin([
            ('team', team::String), ('model', model::String), ('key', key_fingerprint::String)
        ]) as series

    from {{ ref('int_spend_cells') }}

),

days as (

    select
        organization,
        toLowCardinality(tupleElement(series, 1)) as dimension,
        tupleElement(series, 2) as scope_value,
        currency,
        charge_day,
        {{ spend_day_sums() }}

    from cells

    where scope_value != ''

    group by
        organization,
        dimension,
        scope_value,
        currency,
        charge_day

),

clocks as (

    select
        organization,
        max(charge_day) as last_day

    from days

    group by organization

),

starts as (

    select
        organization,
        dimension,
        scope_value,
        currency,
        min(charge_day) as first_day

    from days

    group by
        organization,
        dimension,
        scope_value,
        currency

),

dense as (

    select
        organization,
        dimension,
        scope_value,
        currency,
        charge_day,
        sum(billed_cost)::Decimal(38, 12) as billed_cost,
        sum(list_cost)::Decimal(38, 12) as list_cost,
        sum(calls)::Int64 as calls,
        sum(tokens)::Int64 as tokens,
        max(last_day) as last_day

    from (
        select
            *,
            toDate32('1900-01-01') as last_day

        from days

        union all

        select
            starts.organization as organization,
            starts.dimension as dimension,
            starts.scope_value as scope_value,
            starts.currency as currency,
            arrayJoin(
                arrayMap(
                    number -> addDays(starts.first_day, number),  -- noqa: RF02
                    range(toUInt32(dateDiff('day', starts.first_day, clocks.last_day) + 1))
                )
            ) as charge_day,
            toDecimal128(0, 12) as billed_cost,
            toDecimal128(0, 12) as list_cost,
            toInt64(0) as calls,
            toInt64(0) as tokens,
            clocks.last_day as last_day

        from starts

        inner join clocks on starts.organization = clocks.organization
    ) as all_days

    group by
        organization,
        dimension,
        scope_value,
        currency,
        charge_day

),

sizes as (

    select
        *,
        log(1 + greatest(0, toFloat64(billed_cost))) as size,
        quantileExact(0.5) (size) over fortnight as typical,
        row_number() over series_days - 1 as known_days

    from dense

    window
        fortnight as (
            partition by organization, dimension, scope_value, currency
            order by charge_day
            rows between 14 preceding and 1 preceding
        ),
        series_days as (
            partition by organization, dimension, scope_value, currency
            order by charge_day
        )

),

seasons as (

    select
        *,
        quantileExactIf(0.5) (size - typical, known_days >= 7) over weekdays as season

    from sizes

    window weekdays as (
        partition by organization, dimension, scope_value, currency, toDayOfWeek(charge_day)
        order by charge_day
        rows between 8 preceding and 1 preceding
    )

),

levels as (

    select
        *,
        quantileExactIf(0.5) (size - season, known_days >= 7) over week as level

    from seasons

    window week as (
        partition by organization, dimension, scope_value, currency
        order by charge_day
        rows between 7 preceding and 1 preceding
    )

),

errors as (

    select
        *,
        level + season as expected_size,
        size - expected_size as error,
        known_days >= {{ grace_days() }} as has_error

    from levels

),

scales as (

    select
        *,
        countIf(has_error) over past as errors_known,
        quantileExactIf(0.5) (abs(error), has_error) over past as median_error,
        quantileExactIf(0.96) (error, has_error) over past as high_error,
        quantileExactIf(0.04) (error, has_error) over past as low_error

    from errors

    window past as (
        partition by organization, dimension, scope_value, currency
        order by charge_day
        rows between 56 preceding and 1 preceding
    )

),

bounds as (

    select
        *,
        greatest(0.1, 1.4826 * median_error) * (1 + 6 / (errors_known + 6)) as scale,
        expected_size + greatest(3.2 * scale, high_error) as high_size,
        expected_size - greatest(3.2 * scale, -low_error) as low_size,
        errors_known >= 7 and charge_day < last_day as is_judged

    from scales

),

final as (

    select
        organization,
        dimension,
        scope_value,
        currency,
        charge_day,
        billed_cost,
        list_cost,
        calls,
        tokens,
        toUInt8(charge_day < last_day) as is_whole,
        if(is_judged, toDecimal128(greatest(0, exp(expected_size) - 1), 12), null) as expected_cost,
        if(is_judged, toDecimal128(exp(high_size) - 1, 12), null) as high_cost,
        if(is_judged, toDecimal128(greatest(0, exp(low_size) - 1), 12), null) as low_cost,
        toLowCardinality(
            multiIf(
                not is_judged, '',
                billed_cost > high_cost and billed_cost - expected_cost >= {{ least_excess() }}, 'high',
                billed_cost < low_cost and expected_cost - billed_cost >= {{ least_excess() }}, 'low',
                ''
            )
        ) as direction

    from bounds

)

select * from final
