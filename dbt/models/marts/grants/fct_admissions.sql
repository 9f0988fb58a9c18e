-- What an ask reserved ends once: a call settles it, it is released, or it expires; a call that names it
-- later is late. A name may be asked for again after that, so each end belongs to the last ask that was
-- allowed before it.
with

asks as (

    select
        *,
        answer in ('allow', 'downgrade') as is_allowed,
        {{ log_position() }} as log_position

    from {{ ref('int_asks') }}

    where asked_for = 'call'

),

endings as (

    select
        organization,
        JSONExtractString(body, 'admission') as ask_id,
        {{ log_position() }} as end_position,
        accepted_at,
        decision,
        event_source,
        event_id,
        body

    from {{ ref('stg_tally__decisions') }}

    where
        decision = 'admission.expired'
        or (decision = 'admission.released' and JSONExtractBool(body, 'released'))
        or (decision = 'admission.settled' and JSONExtractString(body, 'way') in ('settled', 'late'))

),

allowed as (

    select
        organization,
        ask_id,
        log_position

    from asks

    where is_allowed

),

matched as (

    select
        endings.organization as organization,
        endings.ask_id as ask_id,
        endings.end_position as end_position,
        endings.accepted_at as accepted_at,
        endings.decision as decision,
        endings.event_source as event_source,
        endings.event_id as event_id,
        endings.body as body,
        max(allowed.log_position) as log_position

    from endings

    inner join allowed
        on endings.organization = allowed.organization and endings.ask_id = allowed.ask_id

    where allowed.log_position < endings.end_position

    group by
        organization,
        ask_id,
        end_position,
        accepted_at,
        decision,
        event_source,
        event_id,
        body

),

ended as (

    select
        organization,
        ask_id,
        log_position,
        argMin(decision, end_position) as first_ending,
        min(accepted_at) as ended_at,
        countIf(decision = 'admission.settled') as settlements,
        anyIf(body, decision = 'admission.settled') as settlement,
        anyIf(event_source, decision = 'admission.settled') as call_source,
        anyIf(event_id, decision = 'admission.settled') as call_id

    from matched

    group by
        organization,
        ask_id,
        log_position

),

final as (

    select
        asks.ask_key as ask_key,
        asks.log_partition as log_partition,
        asks.log_offset as log_offset,
        asks.seq as seq,
        asks.accepted_at as accepted_at,
        asks.organization as organization,
        asks.event_source as event_source,
        asks.ask_id as ask_id,
        asks.answer as answer,
        asks.reason as reason,
        asks.grant_name as grant_name,
        asks.limit_key as limit_key,
        asks.needed_amount as needed_amount,
        asks.left_amount as left_amount,
        asks.refills_at as refills_at,
        asks.is_retryable as is_retryable,
        asks.granted_by as granted_by,
        asks.detail as detail,
        asks.provider as provider,
        asks.model_asked as model_asked,
        asks.model_given as model_given,
        asks.scopes as scopes,
        asks.input_tokens as input_tokens,
        asks.max_tokens as max_tokens,
        asks.grants as grants,
        asks.expires_at as expires_at,
        {{ amounts_by_limit('asks.reserved') }} as reserved_amounts,
        multiIf(
            not asks.is_allowed, 'refused',
            ended.first_ending = 'admission.settled', 'settled',
            ended.first_ending = 'admission.released', 'released',
            ended.first_ending = 'admission.expired' and ended.settlements > 0, 'late',
            ended.first_ending = 'admission.expired', 'expired',
            'open'
        ) as ending,
        if(ending in ('open', 'refused'), null, ended.ended_at) as ended_at,
        {{ amounts_by_limit("JSONExtractArrayRaw(ended.settlement, 'counted')") }} as counted_amounts,
        {{ amounts_by_limit("JSONExtractArrayRaw(ended.settlement, 'overshoot')") }} as overshoot_amounts,
        ended.call_source as call_source,
        ended.call_id as call_id

    from asks

    left join ended
        on
            asks.organization = ended.organization
            and asks.ask_id = ended.ask_id
            and asks.log_position = ended.log_position

)

select * from final
