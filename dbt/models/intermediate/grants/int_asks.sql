-- Asks for a call or a lease, with their answers. What is asked stands in the answer as it does on the log.
with

decisions as (

    select
        *,
        JSONExtractRaw(body, 'asked') as asked,
        decision = 'admission.decided' as is_admission,
        if(reason = '', '', JSONExtractString(body, 'limit')) as deciding_limit

    from {{ ref('stg_tally__decisions') }}

    where decision in ('admission.decided', 'lease.refused')

),

final as (

    select
        concat(toString(log_partition), '-', toString(log_offset), '-', toString(seq)) as ask_key,
        log_partition,
        log_offset,
        seq,
        accepted_at,
        organization,
        if(is_admission, 'call', 'lease') as asked_for,
        event_source,
        event_id as ask_id,
        if(is_admission, JSONExtractString(body, 'answer'), 'deny') as answer,
        reason,
        JSONExtractString(body, 'grant') as grant_name,
        deciding_limit as limit_key,
        if(JSONHas(body, 'needed'), {{ json_amount('body', 'needed') }}, null) as needed_amount,
        if(JSONHas(body, 'left'), {{ json_amount('body', 'left') }}, null) as left_amount,
        {{ json_moment('body', 'refill_us') }} as refills_at,
        toUInt8(JSONExtractBool(body, 'retryable')) as is_retryable,
        JSONExtractString(body, 'granted_by') as granted_by,
        JSONExtractString(body, 'detail') as detail,
        JSONExtractString(asked, 'provider') as provider,
        JSONExtractString(asked, 'model') as model_asked,
        if(reason = '', JSONExtractString(body, 'model'), '') as model_given,
        cast(
            mapFilter(
                (field, name) -> name != '',
                mapFromArrays(
                    {{ ask_scopes() }},
                    arrayMap(field -> JSONExtractString(asked, field), {{ ask_scopes() }})
                )
            ),
            'Map(LowCardinality(String), String)'
        ) as scopes,
        JSONExtractUInt(asked, 'input_tokens') as input_tokens,
        JSONExtractUInt(asked, 'max_tokens') as max_tokens,
        JSONExtract(body, 'grants', 'Array(String)') as grants,
        JSONExtractArrayRaw(body, 'reserved') as reserved,
        {{ json_moment('body', 'expires_us') }} as expires_at

    from decisions

)

select * from final
