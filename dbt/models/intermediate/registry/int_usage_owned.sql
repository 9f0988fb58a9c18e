-- The rows of fct_usage, with the properties of the call by which an owner is found.
with

usage as (

    {{ usage_rows(
        'accepted_at, occurred_at, organization, event_source, billing_month, ' ~ entry_dimensions()
    ) }}

),

final as (

    {{ owned_rows('usage') }}

)

select * from final
