select
    {{ staged_events('events') }},
    events.calls as calls,
    events.unknown_tokens as unknown_tokens

from {{ source('tally', 'events') }} as events
