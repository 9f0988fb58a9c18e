"""``tally episodes``: what runs away now and what was, with its clocks."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from tally.cli.options import AsJson
from tally.output import make_table, out, print_json

app = typer.Typer(no_args_is_help=True, help="Episodes: runaways and crossings of budgets, with their clocks.")


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help="Only this kind: runaway or budget_crossing.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also those that are over, and those of the past.")] = False,
    organization: Annotated[str | None, typer.Option("--organization", "--org", help="Only this organization.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of episodes.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List active episodes of all organizations, the one that costs most an hour first.

    With --all also those that are closed, and history, which was over when it was found; the newest first. What a
    runaway has spent is what was told last.

    Example: tally episodes list --kind runaway

    Exit codes: 0 listed, also where there are none; 2 bad input, or there is no log."""
    from tally.cli.arguments import parse_choice
    from tally.product.alerts.episodes import KINDS, describe, format_sums, list_episodes
    from tally.product.alerts.episodes import as_json as to_json
    from tally.product.catch_up import warehouse_with_models
    from tally.session import settings
    from warehouse.client import connect

    kinds = KINDS if kind is None else (parse_choice(kind, KINDS, "--kind"),)
    config = settings()
    with warehouse_with_models(config):
        episodes = list_episodes(connect(config), kinds, organization, every, limit)
    if as_json:
        print_json([to_json(episode) for episode in episodes])
        return
    if not episodes:
        whose = f" of {organization}" if organization else ""
        rest = "" if every else "; --all shows those that are over"
        out.print(f"No episode{whose} {'was found' if every else 'is active'}{rest}.", markup=False)
        return
    table = make_table("episode", "organization", "state", "began", ">an hour", ">spent", "what")
    for episode in episodes:
        table.add_row(
            escape(episode["episode_id"]), escape(episode["organization"]), episode["state"],
            f"{episode['began_at']:%Y-%m-%d %H:%M:%S}", format_sums(episode["per_hour"]),
            format_sums(episode["spent"]), escape(describe(episode)),
        )  # fmt: skip
    out.print(table)


@app.command(no_args_is_help=True)
def show(
    episode: Annotated[str, typer.Argument(metavar="EPISODE", help="Id of the episode.")], as_json: AsJson = False
) -> None:
    """Show one episode: what it is, its clocks, what it cost, whose it is, and what was done about it.

    Began is event time; the other clocks are the log's time.

    Example: tally episodes show 3-17-0-repeated_tool

    Exit codes: 0 shown, 2 there is no such episode."""
    from tally.product.alerts.episodes import as_json as to_json
    from tally.product.alerts.episodes import find_episode
    from tally.product.catch_up import warehouse_with_models
    from tally.session import settings
    from warehouse.client import connect

    config = settings()
    with warehouse_with_models(config):
        found = find_episode(connect(config), episode)
    if as_json:
        print_json(to_json(found))
        return
    for name, value in _list_facts(found):
        out.print(f"{name:<13} {value}", markup=False, soft_wrap=True)


def _list_facts(episode: dict[str, Any]) -> list[tuple[str, str]]:
    from tally.product.alerts.episodes import describe, format_sums

    clocks = [
        (name.removesuffix("_at"), f"{episode[name]:%Y-%m-%d %H:%M:%S} UTC")
        for name in ("began_at", "detected_at", "acknowledged_at", "decided_at", "restored_at", "closed_at")
        if episode[name] is not None
    ]
    done = [
        ("done", f"{step[0]:%Y-%m-%d %H:%M:%S} UTC {step[1]}" + (f": {step[3]}" if step[3] else ""))
        for step in episode["handling"]
    ]
    facts = [
        ("episode", episode["episode_id"]), ("organization", episode["organization"]), ("kind", episode["kind"]),
        ("state", episode["state"]), ("severity", episode["severity"]), ("what", describe(episode)),
        ("session", episode["session"]), *clocks, ("reason", episode["reason"]),
        ("spent", format_sums(episode["spent"])), ("an hour", format_sums(episode["per_hour"])),
        ("team", episode["owner_team"]), ("owner", episode["owner"]), ("on call", episode["on_call"]),
        ("cost center", episode["cost_center"]), *done,
    ]  # fmt: skip
    return [(name, value) for name, value in facts if value]
