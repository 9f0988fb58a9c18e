-- Records of the registry, each with its subject, in the order in which they became known.
with

decisions as (

    select * from {{ ref('stg_tally__decisions') }}

    where body != ''

),

records as (

    select
        organization,
        multiIf(
            control_type = 'scope.assigned', 'assignment',
            startsWith(control_type, 'scope.'), 'scope',
            startsWith(control_type, 'agreement.'), 'agreement',
            'exchange rate'
        ) as family,
        multiIf(
            family = 'agreement', [JSONExtractString(body, 'agreement')],
            family = 'exchange rate',
            [JSONExtractString(body, 'base_currency'), JSONExtractString(body, 'quote_currency')],
            [JSONExtractString(body, 'dimension'), JSONExtractString(body, 'scope')]
        ) as subject,
        endsWith(control_type, '.ended')
        or (control_type = 'scope.assigned' and not JSONHas(body, 'team'))
        or (control_type = 'exchange_rate.set' and not JSONHas(body, 'rate')) as is_end,
        assumeNotNull(effective_at) as effective_at,
        assumeNotNull(known_at) as known_at,
        log_partition,
        log_offset,
        seq,
        body

    from decisions

)

select * from records
