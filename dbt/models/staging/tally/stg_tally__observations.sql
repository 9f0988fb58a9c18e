-- Counted observations: an outcome, a score, a parser's verdict or a quota reading.
with

source as (

    select * from {{ source('tally', 'events') }}

    where kind = 'observation' and observation != ''

),

renamed as (

    select
        `partition` as log_partition,
        `offset` as log_offset,
        event_index,
        accepted_at,
        organization,
        source as event_source,
        id as event_id,
        `time` as occurred_at,
        JSONExtractString(observation, 'of', 'source') as of_source,
        JSONExtractString(observation, 'of', 'id') as of_id,
        JSONExtractString(observation, 'session') as session,
        toLowCardinality(JSONExtractString(observation, 'metric')) as metric,
        toDecimal128OrNull(JSONExtractString(observation, 'value'), 12) as metric_value,
        toLowCardinality(JSONExtractString(observation, 'evaluator')) as evaluator,
        toLowCardinality(JSONExtractString(observation, 'evaluator_version')) as evaluator_version,
        toLowCardinality(JSONExtractString(observation, 'evaluation_set')) as evaluation_set,
        toLowCardinality(
            JSONExtractString(observation, 'evaluation_set_version')
        ) as evaluation_set_version,
        JSONExtractString(observation, 'ticket') as ticket,
        toLowCardinality(JSONExtractString(observation, 'conformance')) as conformance,
        toLowCardinality(JSONExtractString(observation, 'parser_version')) as parser_version,
        toLowCardinality(JSONExtractString(observation, 'provider')) as provider,
        toLowCardinality(JSONExtractString(observation, 'provider_account')) as provider_account,
        toLowCardinality(JSONExtractString(observation, 'dimension')) as quota_dimension,
        JSONExtract(observation, 'limit', 'Nullable(UInt64)') as quota_limit,
        JSONExtract(observation, 'used', 'Nullable(UInt64)') as quota_used

    from source

)

select * from renamed
