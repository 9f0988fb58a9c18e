-- The last report of each limit, and of each bucket of its windows, of every record below `next_offset` of
-- its log partition. Buckets that no window holds any more are skipped by the order of the table.
{{ config(
    materialized='rollup',
    engine='ReplacingMergeTree(log_position)',
    order_by='is_bucket, ends_at, organization, grant_name, limit_key, bucket',
    absorbs='int_grant_reports',
    rows_per_build=200000,
) }}
-- depends_on: {{ ref('int_offsets_stored') }}
with

{{ absorbed_offsets(this) }} as absorbed,

final as (

    select
        *,
        log_offset + 1 as next_offset

    from {{ ref('int_grant_reports') }}

    where {{ is_pending() }}

)

select * from final
