{{
    registry_intervals('agreement', {
        'agreement': "subject[1]",
        'provider': "toLowCardinality(" ~ registry_text('provider') ~ ")",
        'regions': "JSONExtract(body, 'regions', 'Array(String)')",
        'data_classes': "JSONExtract(body, 'data_classes', 'Array(String)')",
    })
}}
