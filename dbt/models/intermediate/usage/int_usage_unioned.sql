-- The rows of fct_usage, each with its position and the month that it is billed in.
with

usage as (

    {{ usage_rows(
        'log_partition, log_offset, seq, accepted_at, occurred_at, organization, '
        ~ 'billing_month, ' ~ usage_dimensions()
    ) }}

)

select * from usage
