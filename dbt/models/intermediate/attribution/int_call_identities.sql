-- One row per identity of a counted call: its last version, and the names by which it says what caused it.
with

calls as (

    select
        * except (event_source, event_id),
        (log_offset, reinterpretAsInt32(event_index)) as log_position

    from {{ ref('int_call_versions') }}

),

final as (

    select
        calls.organization as organization,
        calls.call_source as event_source,
        calls.call_id as event_id,
        max(calls.log_position) as last_position,
        concat(
            toString(argMax(calls.log_partition, calls.log_position)),
            '-',
            toString(argMax(calls.log_offset, calls.log_position)),
            '-',
            toString(argMax(calls.event_index, calls.log_position))
        ) as call_key,
        argMax(calls.occurred_at, calls.log_position) as occurred_at,
        argMax(calls.root_call, calls.log_position) as root_call,
        argMax(calls.parent_call, calls.log_position) as parent_call

    from calls

    group by
        calls.organization,
        calls.call_source,
        calls.call_id

)

select * from final
