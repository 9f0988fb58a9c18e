with

entries as (

    select * from {{ ref('int_entries_measured') }}

),

final as (

    select
        concat(
            toString(log_partition), '-', toString(log_offset), '-', toString(event_index), '-', class,
            if(
                reversed_offset is null,
                '',
                concat(
                    '-', outcome,
                    '-', toString(assumeNotNull(reversed_offset)),
                    '-', toString(assumeNotNull(reversed_index))
                )
            )
        ) as entry_key,
        log_partition,
        log_offset,
        event_index,
        accepted_at,
        occurred_at,
        organization,
        event_source,
        event_id,
        outcome,
        reversed_offset,
        reversed_index,
        billing_month,
        toDateTime64(concat(billing_month, '-01 00:00:00'), 0, 'UTC') as billing_period_start,
        addMonths(billing_period_start, 1) as billing_period_end,
        if(billing_month = formatDateTime(occurred_at, '%Y-%m', 'UTC'), null, 'Correction') as charge_class,
        {{ entry_dimensions() }},
        class,
        quantity,
        tokens,
        unpriced_quantity,
        unpriced_tokens,
        unit_price,
        list_cost,
        contracted_cost,
        effective_cost,
        billed_cost,
        greatest_unpriced_cost,
        currency,
        price_document,
        price_id,
        tier_basis,
        contract_id

    from entries

)

select * from final
