{{
    registry_intervals('exchange rate', {
        'base_currency': "toLowCardinality(subject[1])",
        'quote_currency': "toLowCardinality(subject[2])",
        'rate': "toDecimal128(" ~ registry_text('rate') ~ ", 12)",
    })
}}
