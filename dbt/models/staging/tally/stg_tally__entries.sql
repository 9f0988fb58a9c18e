select {{ staged_entries('entries') }}

from {{ source('tally', 'entries') }} as entries
