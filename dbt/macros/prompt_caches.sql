{#
    By call, what the provider's cache of prompts saved at list price: cached input at the price of uncached input of the
    same entry, less its own cost; and what writes into the cache cost beyond that price. Known where the entry has both.
    A reversal takes its saving back. `condition` selects entries.
#}
{% macro prompt_caches(condition='') %}
    with

    entries as (

        select
            *,
            multiIf(
                startsWith(class, 'input'), 'input', startsWith(class, 'cache_read'), 'read', 'write'
            ) as side,
            multiIf(endsWith(class, '_audio'), 'audio', endsWith(class, '_image'), 'image', 'text') as modality

        from {{ ref('int_entries_measured') }}

        where (startsWith(class, 'input') or startsWith(class, 'cache_')){% if condition %} and {{ condition }}{% endif %}


    ),

    lines as (

        select
            organization,
            occurred_at,
            log_partition,
            coalesce(reversed_offset, log_offset) as call_offset,
            coalesce(reversed_index, event_index) as call_index,
            modality,
            anyIf(unit_price, side = 'input') as input_price,
            sumIf(quantity, side = 'read') as read_tokens,
            sumIf(quantity, side = 'write') as write_tokens,
            sumIf(list_cost, side = 'read') as read_cost,
            sumIf(list_cost, side = 'write') as write_cost,
            read_tokens * input_price - read_cost as read_saving,
            write_cost - write_tokens * input_price as write_premium

        from entries

        group by
            organization,
            occurred_at,
            log_partition,
            call_offset,
            call_index,
            log_offset,
            event_index,
            outcome,
            modality

        having countIf(side != 'input') > 0

    ),

    savings as (

        select
            organization,
            occurred_at,
            log_partition,
            call_offset,
            call_index,
            sum(read_tokens) as cached_tokens,
            sum(if(read_saving is null, read_tokens, 0)) as unrated_cached_tokens,
            sum(if(read_tokens = 0, null, read_saving)) as cache_saved_cost,
            sum(if(write_tokens = 0, null, write_premium)) as cache_write_premium

        from lines

        group by
            organization,
            occurred_at,
            log_partition,
            call_offset,
            call_index

    )

    select * from savings
{% endmacro %}
