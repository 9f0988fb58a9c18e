-- What people did about each alert, by the decisions of its control records that had effect. Silences of a
-- team, an agent or a session name no alert, and are not here.
with

records as (

    select
        organization,
        JSONExtractString(body, 'alert') as alert_id,
        (log_offset, seq) as log_position,
        accepted_at,
        splitByChar('.', toString(control_type))[2] as verb,
        JSONExtractString(body, 'label') as verdict,
        JSONExtractString(body, 'actor') as actor,
        JSONExtractString(body, 'reason') as reason

    from {{ ref('stg_tally__decisions') }}

    where
        decision = 'control.applied'
        and startsWith(control_type, 'alert.')
        and JSONHas(body, 'alert')

),

final as (

    select
        organization,
        alert_id,
        minOrNullIf(accepted_at, verb = 'acknowledged') as acknowledged_at,
        minOrNullIf(accepted_at, verb in ('resolved', 'labeled', 'silenced')) as decided_at,
        minOrNullIf(accepted_at, verb = 'resolved') as ended_at,
        argMaxIf(verdict, log_position, verb = 'labeled') as label,
        arrayMap(
            step -> (step.2, step.3, step.4, step.5),
            arraySort(groupArray((
                log_position, accepted_at, if(verdict = '', verb, concat(verb, ' ', verdict)), actor, reason
            )))
        ) as steps

    from records

    group by organization, alert_id

)

select * from final
