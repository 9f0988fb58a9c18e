with

alerts as (

    select * from {{ ref('stg_tally__alerts') }}

),

final as (

    select
        concat(toString(log_partition), '-', toString(log_offset), '-', toString(seq)) as alert_key,
        *

    from alerts

)

select * from final
