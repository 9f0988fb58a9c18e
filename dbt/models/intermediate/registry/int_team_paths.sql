-- The teams above each team, as known now: one row per team and stretch of time in which no team changes.
-- The teams of a stretch are one row, in which each climbs by places: a recursion would plan and read the
-- declarations anew at each step.
with

teams as (

    select * from {{ ref('dim_scopes') }}

    where known_to_offset is null and dimension = 'team'

),

moments as (

    select
        organization,
        arraySort(arrayDistinct(arrayFlatten(groupArray(
            if(valid_to is null, [valid_from], [valid_from, assumeNotNull(valid_to)])
        )))) as bounds

    from teams

    group by organization

),

stretches as (

    select
        organization,
        arrayJoin(arrayEnumerate(bounds)) as place,
        bounds[place] as valid_from,
        if(place = length(bounds), null, bounds[place + 1]) as valid_to

    from moments

),

forests as (

    select
        stretches.organization as organization,
        stretches.valid_from as valid_from,
        any(stretches.valid_to) as valid_to,
        groupArray((teams.scope_value, teams.parent, teams.cost_center)) as members

    from stretches

    inner join teams on stretches.organization = teams.organization

    where
        teams.valid_from <= stretches.valid_from
        and (teams.valid_to is null or teams.valid_to > stretches.valid_from)

    group by
        stretches.organization,
        stretches.valid_from

),

climbed as (

    select
        organization,
        valid_from,
        valid_to,
        tupleElement(members, 1) as team_names,
        tupleElement(members, 2) as parents,
        tupleElement(members, 3) as cost_centers,
        arrayMap(parent -> indexOf(team_names, parent), parents) as parent_places,
        arrayJoin(arrayEnumerate(members)) as place,
        arrayFold(
            (places, round) -> if(
                parent_places[places[1]] = 0 or has(places, parent_places[places[1]]),
                places,
                arrayPushFront(places, parent_places[places[1]])
            ),
            range({{ max_team_levels() }} - 1),
            [toUInt64(place)]
        ) as places,
        parents[places[1]] as top_parent,
        arrayMap(step -> team_names[step], places) as declared_path

    from forests

),

final as (

    select
        organization,
        team_names[place] as team,
        valid_from,
        valid_to,
        if(
            top_parent = ''
            or has(declared_path, top_parent)
            or length(declared_path) >= {{ max_team_levels() }},
            declared_path,
            arrayPushFront(declared_path, top_parent)
        ) as team_path,
        arrayFirst(
            center -> center != '', arrayMap(step -> cost_centers[step], arrayReverse(places))
        ) as cost_center

    from climbed

)

select * from final
