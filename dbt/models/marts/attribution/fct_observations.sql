-- Each counted observation, with the call that it is about. Of one subject and metric the one that became
-- known last is in force.
with

observations as (

    select * from {{ ref('stg_tally__observations') }}

),

identities as (

    select
        organization,
        call_source,
        call_id,
        call_key

    from {{ ref('rollup_call_steps') }} final

    where is_last and call_id in (select observations.of_id from observations)

),

final as (

    select
        observations.*,
        identities.call_key as call_key,
        accurateCast(row_number() over (
            partition by
                observations.organization,
                observations.of_source,
                observations.of_id,
                observations.session,
                observations.metric,
                observations.provider,
                observations.provider_account,
                observations.quota_dimension
            order by observations.log_offset desc, reinterpretAsInt32(observations.event_index) desc
        ) = 1, 'UInt8') as is_in_force,
        observations.metric_value > 0 as is_success

    from observations

    left any join identities
        on
            observations.organization = identities.organization
            and observations.of_source = identities.call_source
            and observations.of_id = identities.call_id

)

select * from final
