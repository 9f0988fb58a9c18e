select
    concat(
        toString(log_partition), '-', toString(log_offset), '-', toString(event_index)
    ) as outcome_key,
    log_partition,
    log_offset,
    event_index,
    accepted_at,
    occurred_at,
    organization,
    event_source,
    event_id,
    kind,
    outcome,
    released_from,
    reason,
    detail,
    first_offset,
    first_index,
    currency,
    unknown_tokens,
    greatest_unpriced_cost

from {{ ref('int_outcomes_current') }}
