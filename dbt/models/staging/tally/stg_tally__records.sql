with

source as (

    select * from {{ source('tally', 'records') }}

),

renamed as (

    select
        `partition` as log_partition,
        `offset` as log_offset,
        seq,
        accepted_at,
        organization,
        channel,
        received,
        refused

    from source

)

select * from renamed
