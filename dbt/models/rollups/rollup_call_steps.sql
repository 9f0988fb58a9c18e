-- Versions of calls that are new or amended, as they are at the end of a build, with what the event says
-- beside them, their identity, and what the provider's cache saved. Where the model stands, their place in a
-- call tree is added (macros/call_steps.sql).
{{ config(
    materialized='call_steps',
    engine='ReplacingMergeTree(build)',
    order_by='organization, occurred_at, log_partition, log_offset, event_index',
    indexes=[
        'index call_key call_key type bloom_filter granularity 1',
        'index tree_key tree_key type bloom_filter granularity 1',
        'index component_key component_key type bloom_filter granularity 1',
        'index call_id call_id type bloom_filter granularity 1',
        'index root_call root_call type bloom_filter granularity 1',
        'index parent_call parent_call type bloom_filter granularity 1',
        'index parent_span parent_span type bloom_filter granularity 1',
        'index session session type bloom_filter granularity 1',
    ],
) }}
with

touched as (

    {{ touched_calls() }}

),

counted as (

    select * from {{ ref('rollup_calls') }}

    where
        not is_amendment
        and (organization, occurred_at, log_partition, log_offset, event_index) in (
            select touched.* from touched
        )

),

amendments as (

    select
        organization,
        occurred_at,
        log_partition,
        call_offset,
        call_index,
        {{ amended_values() }}

    from {{ ref('rollup_calls') }}

    where
        is_amendment
        and (organization, occurred_at, log_partition, call_offset, call_index) in (
            select touched.* from touched
        )
        and absorbed_rows

    group by
        organization,
        occurred_at,
        log_partition,
        call_offset,
        call_index

),

attributes as (

    select * from {{ ref('stg_tally__call_attributes') }}

    where
        (organization, occurred_at, log_partition, log_offset, event_index) in (
            select touched.* from touched
        )

),

corrections as (

    select
        log_partition,
        assumeNotNull(corrected_offset) as log_offset,
        assumeNotNull(corrected_index) as event_index

    from attributes

    where corrected_offset is not null

),

originals as (

    select
        log_partition,
        log_offset,
        event_index,
        event_source as original_source,
        event_id as original_id

    from {{ ref('stg_tally__events') }}

    where
        kind = 'inference'
        and outcome not in ('reversal', 'replacement', 'restatement')
        and (log_partition, log_offset, event_index) in (select corrections.* from corrections)

),

caches as (

    {{ prompt_caches(
        '(organization, occurred_at) in (select organization, occurred_at from touched) and absorbed_rows'
    ) }}

),

final as (

    select
        concat(
            toString(counted.log_partition),
            '-',
            toString(counted.log_offset),
            '-',
            toString(counted.event_index)
        ) as call_key,
        counted.log_partition as log_partition,
        counted.log_offset as log_offset,
        counted.event_index as event_index,
        counted.accepted_at as accepted_at,
        counted.occurred_at as occurred_at,
        counted.organization as organization,
        counted.event_source as event_source,
        counted.event_id as event_id,
        if(originals.original_id = '', counted.event_source, originals.original_source) as call_source,
        if(originals.original_id = '', counted.event_id, originals.original_id) as call_id,
        counted.session as session,
        counted.root_call as root_call,
        counted.parent_call as parent_call,
        if(
            counted.root_call = '' or counted.parent_call = '',
            '',
            concat(counted.root_call, ':', counted.parent_call)
        ) as parent_span,
        {{ usage_dimensions('counted') }},
        counted.status as status,
        attributes.provider_account as provider_account,
        attributes.service_tier as service_tier,
        attributes.speed as speed,
        attributes.geography as geography,
        attributes.region as region,
        attributes.user_pseudonym as user_pseudonym,
        attributes.purpose as purpose,
        attributes.key_fingerprint as key_fingerprint,
        attributes.agent_version as agent_version,
        attributes.tool as tool,
        attributes.operation as operation,
        attributes.inference_class as inference_class,
        attributes.tags as tags,
        attributes.attempt as attempt,
        attributes.retry_of as retry_of,
        attributes.fallback_of as fallback_of,
        attributes.fallback_reason as fallback_reason,
        attributes.cached_from as cached_from,
        attributes.response_cache as response_cache,
        accurateCast(
            attributes.retry_of != '' or coalesce(attributes.attempt > 1, false), 'UInt8'
        ) as is_retry,
        accurateCast(
            attributes.fallback_of != ''
            or attributes.fallback_reason != ''
            or attributes.call_role = 'fallback', 'UInt8'
        ) as is_fallback,
        accurateCast(counted.status in ('error', 'refused', 'aborted'), 'UInt8') as is_failed,
        {{ amended_columns('counted') }},
        caches.cached_tokens as cached_tokens,
        caches.unrated_cached_tokens as unrated_cached_tokens,
        caches.cache_saved_cost as cache_saved_cost,
        caches.cache_write_premium as cache_write_premium

    from counted

    left any join attributes
        on
            counted.log_partition = attributes.log_partition
            and counted.log_offset = attributes.log_offset
            and counted.event_index = attributes.event_index

    left any join originals
        on
            attributes.log_partition = originals.log_partition
            and attributes.corrected_offset = originals.log_offset
            and attributes.corrected_index = originals.event_index

    left any join amendments
        on
            counted.log_partition = amendments.log_partition
            and counted.log_offset = amendments.call_offset
            and counted.event_index = amendments.call_index

    left any join caches
        on
            counted.log_partition = caches.log_partition
            and counted.log_offset = caches.call_offset
            and counted.event_index = caches.call_index

)

select * from final
