-- The rows of int_calls_summed beyond the position of the rollup.
with

{{ absorbed_offsets(ref('rollup_calls')) }} as absorbed

{{ summed_calls('absorbed') }}
