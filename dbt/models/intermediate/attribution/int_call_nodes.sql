-- One row per identity of a counted call: what its last version says, and the sums of all its versions, of
-- which one at most is in force.
with

calls as (

    select
        * except (event_source, event_id),
        (log_offset, reinterpretAsInt32(event_index)) as log_position

    from {{ ref('int_calls_detailed') }}

),

final as (

    select
        calls.organization as organization,
        calls.call_source as event_source,
        calls.call_id as event_id,
        {{ last_values(['call_key'] + node_properties()) }},
        {{ last_values(usage_dimensions().split(', ')) }},
        sum(calls.calls) as calls,
        sum(calls.tokens) as tokens,
        sum(calls.cached_tokens) as cached_tokens,
        sum(calls.saved_cost) as saved_cost,
        sum(calls.cache_saved_cost) as cache_saved_cost,
        sum(calls.list_cost) as list_cost,
        sum(calls.contracted_cost) as contracted_cost,
        sum(calls.effective_cost) as effective_cost,
        sum(calls.billed_cost) as billed_cost

    from calls

    group by
        calls.organization,
        calls.call_source,
        calls.call_id

)

select * from final
