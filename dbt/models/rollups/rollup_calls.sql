-- Calls and their amendments, of every record below `next_offset` of its log partition.
{{ config(
    materialized='rollup',
    engine='MergeTree',
    order_by='is_amendment, organization, occurred_at, log_partition, log_offset, seq',
    indexes=[
        'index position (log_partition, log_offset) type minmax granularity 1',
        'index session session type bloom_filter granularity 1',
    ],
    absorbs='int_calls_counted',
    rows_per_build=200000,
) }}
-- depends_on: {{ ref('int_offsets_stored') }}
-- depends_on: {{ ref('int_calls_counted') }}
with

{{ absorbed_offsets(this) }} as absorbed,

final as (

    select
        *,
        log_offset + 1 as next_offset

    from ({{ summed_calls(is_build=true) }})

)

select * from final
