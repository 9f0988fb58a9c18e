-- A run lies on the log from its first call to the event that ended it. All calls of its agent in its
-- session in between belong to it; of agents that start each other, all calls of the session that have an
-- agent. Detectors judge a call once, as it first came, or fell due: what
-- revises or corrects it belongs to no run. The index of what fell due with a record has its highest bit
-- set, and comes before the record's own.
with

runs as (

    select * from {{ ref('int_runaways') }}

),

held_revisions as (

    select
        log_partition,
        log_offset,
        event_index

    from {{ ref('stg_tally__events') }}

    where outcome = 'held' and first_offset is not null

),

calls as (

    select * from {{ ref('int_calls_unioned') }}

    where
        session in (select runs.session from runs)
        and outcome not in ('reversal', 'replacement', 'restatement')
        and (
            first_offset is null
            or (
                outcome = 'release'
                and reinterpretAsInt32(event_index) < 0
                and (log_partition, first_offset, first_index)
                not in (select held_revisions.* from held_revisions)
            )
        )

),

final as (

    select
        concat(
            runs.alert_id, '/', toString(calls.log_offset), '-', toString(calls.event_index)
        ) as runaway_call_key,
        runs.alert_id as alert_id,
        calls.log_partition as log_partition,
        calls.log_offset as log_offset,
        calls.event_index as event_index,
        calls.accepted_at as accepted_at,
        calls.occurred_at as occurred_at,
        calls.organization as organization,
        calls.event_source as event_source,
        calls.event_id as event_id,
        calls.session as session,
        calls.team as team,
        calls.agent as agent,
        calls.tool as tool,
        calls.model as model,
        calls.status as status,
        multiIf(
            runs.tool != '',
            calls.tool = runs.tool
            and calls.tool_arguments_hash = runs.arguments_hash
            and calls.tool_result_hash = runs.result_hash,
            runs.detector = 'repeated_prompt',
            calls.tool = '',
            calls.status = 'error'
            or (calls.tool != '' and (calls.tool_arguments_hash != '' or calls.tool_result_hash != ''))
        ) as is_repeat,
        calls.pricing as pricing,
        calls.currency as currency,
        calls.tokens as tokens,
        calls.list_cost as list_cost,
        calls.billed_cost as billed_cost

    from calls

    inner join runs
        on
            calls.log_partition = runs.log_partition
            and calls.organization = runs.organization
            and calls.session = runs.session
            and (calls.agent = runs.agent or runs.detector in ('agent_depth', 'agents_alike'))

    where
        (calls.log_offset, reinterpretAsInt32(calls.event_index))
        >= (runs.run_offset, reinterpretAsInt32(runs.run_index))
        and (
            runs.is_open
            or (calls.log_offset, reinterpretAsInt32(calls.event_index))
            < (runs.resolved_offset, runs.resolved_index)
        )

)

select * from final
