-- Each call once for each tag that any call of its organization has; the value is empty where it lacks the
-- tag. So the values of one tag add up to all calls.
with

calls as (

    select * from {{ ref('fct_attributed_calls') }}

),

tag_keys as (

    select distinct
        organization,
        arrayJoin(mapKeys(tags)) as tag_key

    from {{ ref('rollup_call_steps') }}

),

final as (

    select
        tag_keys.tag_key as tag_key,
        calls.tags[tag_keys.tag_key] as tag_value,
        accurateCast(mapContains(calls.tags, tag_keys.tag_key), 'UInt8') as is_tagged,
        calls.call_key as call_key,
        calls.accepted_at as accepted_at,
        calls.occurred_at as occurred_at,
        calls.organization as organization,
        calls.owner_team as owner_team,
        calls.owner_path as owner_path,
        calls.owner_cost_center as owner_cost_center,
        calls.session as session,
        {{ usage_dimensions('calls') }},
        calls.currency as currency,
        calls.calls as calls,
        calls.tokens as tokens,
        calls.list_cost as list_cost,
        calls.contracted_cost as contracted_cost,
        calls.effective_cost as effective_cost,
        calls.billed_cost as billed_cost

    from calls

    inner join tag_keys on calls.organization = tag_keys.organization

)

select * from final
