-- Each episode with its clocks, and who owns what it is about. A file of models/intermediate/episodes makes
-- those of a kind. Owners are looked up only where a query asks for them.
with

{{ owner_spans() }} as owner_spans,

{{ path_spans() }} as path_spans,

(
    select tuple(arrayPushFront(groupArray(subject), ''), arrayPushFront(groupArray(spans), []))
    from (
        select
            concat(organization, '\n', scope_value) as subject,
            arraySort(groupArray((valid_from, valid_to, toString(owner), toString(on_call)))) as spans
        from {{ ref('dim_scopes') }}
        where known_to_offset is null and dimension = 'team'
        group by subject
    )
) as team_spans,

kinds as (

    select * from {{ ref('int_episodes_runaway') }}

    union all

    select * from {{ ref('int_episodes_budget_crossing') }}

),

episodes as (

    select
        toString(episode_id) as episode_id,
        toLowCardinality(toString(kind)) as kind,
        organization,
        toLowCardinality(toString(state)) as state,
        toLowCardinality(toString(severity)) as severity,
        toLowCardinality(toString(detector)) as detector,
        arrayMap(family -> toString(family), families) as families,
        toLowCardinality(toString(dimension)) as dimension,
        toString(scope_value) as scope_value,
        toString(team) as team,
        toString(agent) as agent,
        toString(session) as session,
        toString(tool) as tool,
        toUInt64(repeats) as repeats,
        began_at,
        detected_at,
        acknowledged_at,
        decided_at,
        restored_at,
        closed_at,
        last_at,
        toString(reason) as reason,
        mapApply((currency, amount) -> (toString(currency), amount), spent) as spent,
        mapApply((currency, amount) -> (toString(currency), amount), per_hour) as per_hour,
        mapApply((currency, amount) -> (toString(currency), amount), projected) as projected,
        toLowCardinality(toString(label)) as label,
        handling,
        evidence_positions

    from kinds

),

owned as (

    select
        *,
        began_at as occurred_at,
        {{ find_span('owner_spans', "concat(organization, '\\nagent\\n', agent)") }} as agent_span,
        if(
            team = '' and coalesce(began_at < agent_span.2, true), agent_span.3, team
        ) as owner_team,
        {{ path_columns() }},
        arrayMap(
            name -> {{ find_span('team_spans', "concat(organization, '\\n', name)") }},
            arrayReverse(owner_path)
        ) as spans_up,
        arrayFilter(span -> coalesce(began_at < span.2, true), spans_up) as held_spans

    from episodes

),

final as (

    select
        episode_id,
        kind,
        organization,
        state,
        severity,
        detector,
        families,
        dimension,
        scope_value,
        team,
        agent,
        session,
        tool,
        repeats,
        began_at,
        detected_at,
        acknowledged_at,
        decided_at,
        restored_at,
        closed_at,
        last_at,
        reason,
        spent,
        per_hour,
        projected,
        label,
        handling,
        evidence_positions,
        owner_team,
        owner_cost_center as cost_center,
        tupleElement(arrayFirst(span -> span.3 != '', held_spans), 3) as owner,  -- noqa: RF04
        tupleElement(arrayFirst(span -> span.4 != '', held_spans), 4) as on_call

    from owned

)

select * from final
