-- Records of the registry, each with its subject, in the order in which they became known.
select
    decisions.organization as organization,
    multiIf(
        decisions.control_type = 'scope.assigned', 'assignment',
        startsWith(decisions.control_type, 'scope.'), 'scope',
        startsWith(decisions.control_type, 'agreement.'), 'agreement',
        'exchange rate'
    ) as family,
    multiIf(
        family = 'agreement', [JSONExtractString(decisions.body, 'agreement')],
        family = 'exchange rate',
        [
            JSONExtractString(decisions.body, 'base_currency'),
            JSONExtractString(decisions.body, 'quote_currency')
        ],
        [JSONExtractString(decisions.body, 'dimension'), JSONExtractString(decisions.body, 'scope')]
    ) as subject,
    endsWith(decisions.control_type, '.ended')
    or (decisions.control_type = 'scope.assigned' and not JSONHas(decisions.body, 'team'))
    or (decisions.control_type = 'exchange_rate.set' and not JSONHas(decisions.body, 'rate')) as is_end,
    assumeNotNull(decisions.effective_at) as effective_at,
    assumeNotNull(decisions.known_at) as known_at,
    decisions.`partition` as log_partition,
    decisions.`offset` as log_offset,
    decisions.seq as seq,
    decisions.body as body

from {{ source('tally', 'decisions') }} as decisions

where match(decisions.control_type, '^(scope|agreement|exchange_rate)[.]') and decisions.body != ''
