-- The rows of fct_calls with all that the event says beside them, and the team that owns each.
with

calls as (

    select * from {{ ref('int_calls_detailed') }}

),

assignments as (

    select * from {{ ref('dim_assignments') }}

    where known_to_offset is null

),

joined as (

    {{ join_owners('calls', 'assignments') }}

),

owned as (

    select
        * except (call_source, call_id, {{ owner_helpers() }}),
        toLowCardinality(
            multiIf(team != '', 'event', {{ attribution_branches() }} 'unowned')
        ) as attributed_by,
        multiIf(attributed_by = 'event', toString(team), {{ owner_branches() }} '') as owner_team

    from joined

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

placed as (

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

    from placed

)

select * from final
