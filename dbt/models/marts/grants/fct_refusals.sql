with

asks as (

    select * from {{ ref('int_asks') }}

    where reason != ''

),

final as (

    select * except (model_given, grants, reserved, expires_at) from asks

)

select * from final
