-- Decisions about budgets: allocated, removed, thresholds crossed and armed again.
with

decisions as (

    select * from {{ ref('stg_tally__decisions') }}

),

final as (

    select
        lower(hex(sipHash128(organization, dimension, scope_value, window_s))) as budget_key,
        * except (effective_at, known_at, body)

    from decisions

    where dimension != ''

)

select * from final
