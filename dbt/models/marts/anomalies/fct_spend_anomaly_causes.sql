-- What spend was expected to be is divided as it was on the same weekdays of the eight weeks before. Of
-- each breakdown the greatest part takes what rounding leaves, so that the parts add up to the excess.
with

anomalies as (

    select * from {{ ref('fct_spend_anomalies') }}

),

anomaly_days as (

    select
        anomaly_id,
        organization,
        dimension,
        scope_value,
        currency,
        toFloat64(expected_cost) as expected,
        arrayJoin(
            arrayFlatten(
                arrayMap(
                    number -> arrayMap(
                        week -> (addDays(began_day, number - 7 * week), week > 0),
                        range(9)
                    ),
                    range(toUInt32(dateDiff('day', began_day, ended_day) + 1))
                )
            )
        ) as day

    from anomalies

),

spent_days as (

    select
        anomaly_id,
        organization,
        dimension,
        scope_value,
        currency,
        expected,
        tupleElement(day, 1) as charge_day,
        max(tupleElement(day, 2)) as is_reference,
        min(tupleElement(day, 2)) = 0 as is_anomalous

    from anomaly_days

    group by
        anomaly_id,
        organization,
        dimension,
        scope_value,
        currency,
        expected,
        charge_day

),

cells as (

    select
        *,
        arrayJoin([
            ('team', team::String), ('model', model::String), ('key', key_fingerprint::String)
        ]) as series

    from {{ ref('int_spend_cells') }}

),

parts as (

    select
        days.anomaly_id as anomaly_id,
        days.expected as expected,
        arrayJoin([
            {% for name in spend_dimensions().split(', ') %}
                ('{{ name }}', cells.{{ name }}::String){{ ',' if not loop.last }}
            {% endfor %}
        ]) as part,
        sumIf(cells.billed_cost, days.is_anomalous) as cost,
        sumIf(cells.calls, days.is_anomalous) as calls,
        sumIf(cells.tokens, days.is_anomalous) as tokens,
        toFloat64(sumIf(cells.billed_cost, days.is_reference and not days.is_anomalous)) as usual_cost,
        sumIf(cells.calls, days.is_reference and not days.is_anomalous) as usual_calls,
        sumIf(cells.tokens, days.is_reference and not days.is_anomalous) as usual_tokens

    from cells

    inner join spent_days as days
        on
            cells.organization = days.organization
            and cells.currency = days.currency
            and cells.charge_day = days.charge_day
            and tupleElement(cells.series, 1) = days.dimension
            and tupleElement(cells.series, 2) = days.scope_value

    group by
        anomaly_id,
        expected,
        part

),

-- usual figures, scaled so that their cost is what was expected
scaled as (

    select
        anomaly_id,
        tupleElement(part, 1) as breakdown,
        tupleElement(part, 2) as value,
        cost,
        toFloat64(cost) as spent,
        toFloat64(calls) as calls,
        toFloat64(tokens) as tokens,
        expected,
        sum(usual_cost) over (partition by anomaly_id, breakdown) as usual_total,
        if(usual_total = 0, 0, expected / usual_total) as factor,
        usual_cost * factor as usual_spent,
        usual_calls * factor as usual_calls,
        usual_tokens * factor as usual_tokens

    from parts

),

effects as (

    select
        anomaly_id,
        sum(calls) as total_calls,
        sum(usual_calls) as usual_total_calls,
        sum(usual_spent) as usual_total_spent,
        -- calls at the usual cost of a call of the model, and tokens at the usual cost of a token
        sum(if(usual_calls > 0, calls * usual_spent / usual_calls, spent)) as spent_at_usual_calls,
        sum(
            if(usual_tokens > 0 and usual_spent > 0, tokens * usual_spent / usual_tokens, spent)
        ) as spent_at_usual_price

    from scaled

    where breakdown = 'model'

    group by anomaly_id

),

effect_values as (

    select
        anomaly_id,
        if(
            usual_total_calls > 0,
            total_calls * usual_total_spent / usual_total_calls - usual_total_spent,
            0
        ) as volume,
        spent_at_usual_calls - usual_total_spent - volume as mix,
        spent_at_usual_price - spent_at_usual_calls as length

    from effects

),

explained as (

    select
        anomaly_id,
        breakdown,
        value,
        cost,
        toDecimal128(usual_spent, 12) as usual_part,
        row_number() over (
            partition by anomaly_id, breakdown
            order by cost desc, value asc
        ) as rank,
        sum(usual_part) over (partition by anomaly_id, breakdown) as usual_parts

    from scaled

    union all

    select
        anomaly_id,
        'effect' as breakdown,
        tupleElement(effect, 1) as value,
        toDecimal128(0, 12) as cost,
        toDecimal128(-tupleElement(effect, 2), 12) as usual_part,
        tupleElement(effect, 3) as rank,
        toDecimal128(-volume, 12) + toDecimal128(-mix, 12) + toDecimal128(-length, 12) as usual_parts

    from effect_values

    array join [('price', 0., 1), ('volume', volume, 2), ('mix', mix, 3), ('length', length, 4)] as effect

),

final as (

    select
        anomalies.organization as organization,
        explained.anomaly_id as anomaly_id,
        explained.breakdown::String as breakdown,
        explained.value::String as value,
        anomalies.currency as currency,
        (
            explained.cost - explained.usual_part + if(
                explained.rank = 1,
                if(explained.breakdown = 'effect', anomalies.excess, -anomalies.expected_cost)
                + explained.usual_parts,
                toDecimal128(0, 12)
            )
        )::Decimal(38, 12) as explained_cost,
        if(
            anomalies.excess = 0, 0, toFloat64(explained_cost) / toFloat64(anomalies.excess)
        ) as explained_share

    from explained

    inner join anomalies on explained.anomaly_id = anomalies.anomaly_id

)

select * from final
