-- Every received fact is rejected or has an outcome. A row here is a defect.
select
    acceptance_day,
    organization,
    channel,
    received,
    accepted,
    rejected

from {{ ref('fct_intake') }}

where
    received != accepted + rejected
    or accepted != counted + duplicate + conflict + quarantined + held
