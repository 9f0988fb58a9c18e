-- One row per call and one per entry, in one shape, so that sums over any dimension need no join.
with

usage as (

    {{ usage_rows('accepted_at, occurred_at, organization, ' ~ usage_dimensions()) }}

)

select * from usage
