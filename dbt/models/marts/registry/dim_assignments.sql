{{
    registry_intervals('assignment', {
        'dimension': "toLowCardinality(subject[1])",
        'scope_value': "subject[2]",
        'team': registry_text('team'),
    })
}}
