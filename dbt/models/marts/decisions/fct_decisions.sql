with

decisions as (

    select * from {{ ref('stg_tally__decisions') }}

),

final as (

    select
        concat(toString(log_partition), '-', toString(log_offset), '-', toString(seq)) as decision_key,
        *

    from decisions

)

select * from final
