-- By month, team and currency: a cost, the units that it bought, and the cost of one. A call whose cost is
-- not known in full is in neither.
with

calls as (

    select
        *,
        pricing in ('priced', 'free') as is_known,
        formatDateTime(occurred_at, '%Y-%m', 'UTC') as usage_month

    from {{ ref('int_calls_owned') }}

),

sums as (

    select
        organization,
        usage_month,
        owner_team,
        currency,
        sum(billed_cost) as whole_cost,
        sumIf(billed_cost, is_known) as known_cost,
        sumIf(calls, is_known) as known_calls,
        sumIf(tokens, is_known) as known_tokens,
        sumIf(billed_cost, customer != '') as customer_cost,
        uniqExactIf(customer, customer != '' and calls > 0) as customers,
        addMonths(toDateTime64(concat(usage_month, '-01 00:00:00'), 6, 'UTC'), 1) as month_end

    from calls

    group by
        organization,
        usage_month,
        owner_team,
        currency

),

teams as (

    select
        organization as team_organization,
        scope_value as team_name,
        head_count,
        valid_from,
        valid_to

    from {{ ref('dim_scopes') }}

    where known_to_offset is null and dimension = 'team'

),

headed as (

    select
        sums.*,
        if(coalesce(teams.valid_to >= sums.month_end, true), teams.head_count, null) as heads

    from sums

    asof left join teams
        on
            sums.organization = teams.team_organization
            and sums.owner_team = teams.team_name
            and sums.month_end > teams.valid_from

),

usage_units as (

    select
        organization,
        usage_month,
        owner_team,
        currency,
        arrayJoin([
            ('call', known_cost, toDecimal128(known_calls, 12)),
            ('million tokens', known_cost, toDecimal128(known_tokens, 12) / 1000000),
            ('customer', customer_cost, toDecimal128(customers, 12)),
            ('head', whole_cost, toDecimal128(coalesce(heads, 0), 12))
        ]) as line,
        toLowCardinality(line.1) as unit,
        toLowCardinality('') as metric,
        line.2 as billed_cost,
        line.3 as units

    from headed

),

outcome_units as (

    select
        organization,
        formatDateTime(started_at, '%Y-%m', 'UTC') as usage_month,
        owner_team,
        currency,
        toLowCardinality('successful outcome') as unit,
        metric,
        sum(billed_cost) as billed_cost,
        toDecimal128(sum(is_success), 12) as units

    from {{ ref('fct_outcome_costs') }}

    group by
        organization,
        usage_month,
        owner_team,
        currency,
        unit,
        metric

),

united as (

    select * except (line) from usage_units

    union all

    select * from outcome_units

),

final as (

    select
        *,
        {{ unit_cost('billed_cost', 'units') }} as cost_per_unit

    from united

)

select * from final
