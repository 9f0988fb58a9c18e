with

records as (

    select * from {{ ref('stg_tally__records') }}

),

final as (

    select
        concat(toString(log_partition), '-', toString(log_offset)) as record_key,
        * except (seq)

    from records

)

select * from final
