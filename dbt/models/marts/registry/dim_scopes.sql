{{
    registry_intervals('scope', {
        'dimension': "toLowCardinality(subject[1])",
        'scope_value': "subject[2]",
        'parent': registry_text('parent'),
        'owner': registry_text('owner'),
        'sponsor': registry_text('sponsor'),
        'on_call': registry_text('on_call'),
        'cost_center': registry_text('cost_center'),
        'head_count': "JSONExtract(body, 'head_count', 'Nullable(UInt64)')",
    })
}}
