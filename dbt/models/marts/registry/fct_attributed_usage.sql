-- The rows of fct_usage, each with the team that owns it. A read: a reorganization changes no entry, and
-- moves what happened since its effective time.
with

owned as (

    select * from {{ ref('int_usage_owned') }}

),

paths as (

    select
        organization as path_organization,
        team as path_team,
        team_path,
        cost_center as path_cost_center,
        valid_from as path_from,
        valid_to as path_to

    from {{ ref('int_team_paths') }}

),

joined as (

    select
        owned.*,
        paths.team_path as team_path,
        paths.path_cost_center as path_cost_center,
        paths.path_team != '' and coalesce(owned.occurred_at < paths.path_to, true) as is_declared

    from owned

    asof left join paths
        on
            owned.organization = paths.path_organization
            and owned.owner_team = paths.path_team
            and owned.occurred_at >= paths.path_from

),

final as (

    select
        * except (team_path, path_cost_center, is_declared),
        multiIf(is_declared, team_path, owner_team = '', [], [owner_team]) as owner_path,
        if(is_declared, path_cost_center, '') as owner_cost_center

    from joined

)

select * from final
