with

source as (

    select * from {{ source('tally', 'decisions') }}

),

renamed as (

    select
        `partition` as log_partition,
        `offset` as log_offset,
        seq,
        event_index,
        accepted_at,
        organization,
        decision,
        control_type,
        reason,
        dimension,
        `scope` as scope_value,
        window_s,
        `limit` as limit_amount,
        used as used_amount,
        unknown_usage,
        assumed as assumed_amount,
        unknown_calls,
        unknown_tokens,
        unbounded_calls,
        currency,
        threshold as threshold_percent,
        thresholds as threshold_percents,
        past as is_past,
        window_end as window_ends_at,
        event_source,
        event_id,
        effective_at,
        known_at,
        body

    from source

)

select * from renamed
