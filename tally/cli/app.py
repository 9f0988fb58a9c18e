"""The commands of ``tally``: a file for each group. Heavy imports stand inside the commands."""

import typer

from tally.cli import (
    alerts,
    anomalies,
    api,
    budget,
    contract,
    correct,
    dashboards,
    demo,
    episodes,
    export,
    grant,
    import_files,
    kafka,
    log,
    metrics,
    model,
    period,
    price,
    rebuild,
    registry,
    runaways,
    sql,
    status,
    streams,
    subject,
    tail,
    token,
    topics,
    up,
    verify,
    warehouse,
)
from tally.exit import FailureReportingGroup

app = typer.Typer(
    cls=FailureReportingGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Tallystick: a ledger of what every inference cost, with proof.\n\n"
    "Start with `tally demo`, or with `tally import FILE` and `tally up`. Data is kept in the folder TALLY_HOME "
    "(default: .tally).\n\n"
    "Exit codes: 0 success, 1 a check failed or a service crashed, 2 bad input, 70 a bug in tally, 130 Ctrl-C.",
)
_RUN, _QUERY, _MANAGE, _SERVICES = "Run", "Import and query", "Manage", "Services"

app.command("up", rich_help_panel=_RUN)(up.up)
app.add_typer(demo.app, name="demo", rich_help_panel=_RUN)
app.command("status", rich_help_panel=_RUN)(status.status)
app.command("import", rich_help_panel=_QUERY, no_args_is_help=True)(import_files.import_)
app.command("sql", cls=sql.StatementCommand, rich_help_panel=_QUERY, no_args_is_help=True)(sql.sql)
app.command("verify", rich_help_panel=_QUERY)(verify.verify)
app.command("rebuild", rich_help_panel=_QUERY)(rebuild.rebuild)
app.command("tail", rich_help_panel=_QUERY)(tail.tail)
app.command("anomalies", rich_help_panel=_QUERY)(anomalies.anomalies)
app.command("as-of", rich_help_panel=_QUERY, no_args_is_help=True)(registry.as_of)
app.add_typer(episodes.app, name="episodes", rich_help_panel=_QUERY)
app.add_typer(export.app, name="export", rich_help_panel=_QUERY)
app.add_typer(log.app, name="log", rich_help_panel=_QUERY)
app.command("correct", rich_help_panel=_MANAGE, no_args_is_help=True)(correct.correct)
app.command("plan", rich_help_panel=_MANAGE, no_args_is_help=True)(registry.plan)
app.command("apply", rich_help_panel=_MANAGE, no_args_is_help=True)(registry.apply)
app.add_typer(budget.app, name="budget", rich_help_panel=_MANAGE)
app.add_typer(grant.app, name="grant", rich_help_panel=_MANAGE)
app.add_typer(price.app, name="price", rich_help_panel=_MANAGE)
app.add_typer(contract.app, name="contract", rich_help_panel=_MANAGE)
app.add_typer(model.app, name="model", rich_help_panel=_MANAGE)
app.add_typer(period.app, name="period", rich_help_panel=_MANAGE)
app.add_typer(token.app, name="token", rich_help_panel=_MANAGE)
app.add_typer(subject.app, name="subject", rich_help_panel=_MANAGE)
app.add_typer(alerts.app, name="alerts", rich_help_panel=_MANAGE)
app.add_typer(runaways.app, name="runaways", rich_help_panel=_MANAGE)
app.add_typer(api.app, name="api", rich_help_panel=_SERVICES)
app.add_typer(streams.app, name="streams", rich_help_panel=_SERVICES)
app.add_typer(topics.app, name="topics", rich_help_panel=_MANAGE)
app.add_typer(warehouse.app, name="warehouse", rich_help_panel=_SERVICES)
app.add_typer(kafka.app, name="kafka", rich_help_panel=_SERVICES)
app.add_typer(dashboards.app, name="dashboards", rich_help_panel=_SERVICES)
app.add_typer(metrics.app, name="metrics", rich_help_panel=_SERVICES)
