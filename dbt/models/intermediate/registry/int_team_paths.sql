-- The teams above each team, as known now: one row per team and stretch of time in which no team changes.
with recursive

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

declared as (

    select
        stretches.organization as organization,
        stretches.valid_from as valid_from,
        stretches.valid_to as valid_to,
        teams.scope_value as team,
        teams.parent as parent,
        teams.cost_center as cost_center

    from stretches

    inner join teams on stretches.organization = teams.organization

    where
        teams.valid_from <= stretches.valid_from
        and (teams.valid_to is null or teams.valid_to > stretches.valid_from)

),

climbed as (

    select
        organization,
        valid_from,
        valid_to,
        team,
        [team] as team_path,
        parent,
        cost_center

    from declared

    union all

    select
        climbed.organization as organization,
        climbed.valid_from as valid_from,
        climbed.valid_to as valid_to,
        climbed.team as team,
        arrayPushFront(climbed.team_path, climbed.parent) as team_path,
        declared.parent as parent,
        if(climbed.cost_center = '', declared.cost_center, climbed.cost_center) as cost_center

    from climbed

    left join declared
        on
            climbed.organization = declared.organization
            and climbed.valid_from = declared.valid_from
            and climbed.parent = declared.team

    where
        climbed.parent != ''
        and not has(climbed.team_path, climbed.parent)
        and length(climbed.team_path) < 64

),

final as (

    select
        climbed.organization as organization,
        climbed.team as team,
        climbed.valid_from as valid_from,
        any(climbed.valid_to) as valid_to,
        argMax(climbed.team_path, length(climbed.team_path)) as team_path,
        argMax(climbed.cost_center, length(climbed.team_path)) as cost_center

    from climbed

    group by climbed.organization, climbed.team, climbed.valid_from

)

select * from final
