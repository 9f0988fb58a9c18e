-- Versions of calls with the identity that they are in force for: their own; of a replacement, that of the
-- call that was corrected. Other calls know it by that name.
with

attributes as (

    select * from {{ ref('stg_tally__call_attributes') }}

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

final as (

    select
        attributes.*,
        if(originals.original_id = '', attributes.event_source, originals.original_source) as call_source,
        if(originals.original_id = '', attributes.event_id, originals.original_id) as call_id

    from attributes

    left any join originals
        on
            attributes.log_partition = originals.log_partition
            and attributes.corrected_offset = originals.log_offset
            and attributes.corrected_index = originals.event_index

)

select * from final
