-- What was judged, and what it cost: an observation about a call is about the call's whole tree; one about a
-- session, about all calls of the session. The last that became known of a subject and metric counts.
with

observations as (

    select
        *,
        (log_offset, reinterpretAsInt32(event_index)) as log_position

    from {{ ref('fct_observations') }}

    where metric != '' and metric_value is not null

),

judged_calls as (

    select
        call_key,
        tree_key

    from {{ ref('rollup_call_steps') }} final

    where call_key in (select observations.call_key from observations)

),

trees as (

    select * from {{ ref('fct_call_trees') }}

    where tree_key in (select judged_calls.tree_key from judged_calls)

),

calls as (

    select
        *,
        min(nullIf(toString(currency), '')) over (partition by organization, session) as first_currency

    from {{ ref('int_calls_owned') }}

    where
        session in (
            select observations.session from observations

            where observations.of_id = '' and observations.session != ''
        )

),

sessions as (

    select
        calls.organization as organization,
        calls.session as session,
        toLowCardinality(
            coalesce(nullIf(toString(calls.currency), ''), calls.first_currency, '')
        ) as currency,
        min(calls.occurred_at) as started_at,
        argMin(calls.owner_team, (calls.occurred_at, calls.call_key)) as owner_team,
        sum(calls.calls) as calls,
        sum(calls.tokens) as tokens,
        sum(calls.list_cost) as list_cost,
        sum(calls.billed_cost) as billed_cost

    from calls

    group by
        calls.organization,
        calls.session,
        currency

),

judged_trees as (

    select
        trees.organization as organization,
        observations.metric as metric,
        toLowCardinality('call tree') as subject_kind,
        trees.tree_key as subject,
        trees.currency as currency,
        {{ judged_values('trees') }}

    from trees

    inner join judged_calls on trees.tree_key = judged_calls.tree_key

    inner join observations on judged_calls.call_key = observations.call_key

    group by organization, metric, subject, currency

),

judged_sessions as (

    select
        sessions.organization as organization,
        observations.metric as metric,
        toLowCardinality('session') as subject_kind,
        sessions.session as subject,
        sessions.currency as currency,
        {{ judged_values('sessions') }}

    from sessions

    inner join observations
        on sessions.organization = observations.organization and sessions.session = observations.session

    where observations.of_id = ''

    group by organization, metric, subject, currency

),

united as (

    select * from judged_trees

    union all

    select * from judged_sessions

),

final as (

    select
        *,
        accurateCast(metric_value > 0, 'UInt8') as is_success

    from united

)

select * from final
