"""``tally alerts ack``, ``silence``, ``resolve`` and ``label``: what people do about alerts, as control records."""

from typing import Annotated, Any

import typer

from tally.cli.options import Actor, AsJson, Organization
from tally.output import out, print_json

Alert = Annotated[str, typer.Argument(metavar="ALERT", help="Id of the alert, as `tally alerts list` shows it.")]
Reason = Annotated[str | None, typer.Option(help="Reason; stored on the log.")]


def acknowledge(
    alert: Alert, reason: Reason = None, actor: Actor = None, organization: Organization = None, as_json: AsJson = False
) -> None:
    """Acknowledge an alert: you look after it. Its receivers learn of it, and it is not escalated any more.

    Example: tally alerts ack 3-17-0-repeated_tool --reason "stopping the job"

    Exit codes: 0 acknowledged; 1 it has no effect, and why; 2 bad input."""
    _append("alert.acknowledged", "Acknowledged", {"alert": alert}, None, reason, actor, organization, as_json)


def resolve(
    alert: Alert, reason: Reason = None, actor: Actor = None, organization: Organization = None, as_json: AsJson = False
) -> None:
    """Resolve an alert: for you it is over, whatever its agent goes on to do. Its receivers learn of it.

    Example: tally alerts resolve 3-17-0-repeated_tool --reason "the job was stopped"

    Exit codes: 0 resolved; 1 it has no effect, and why; 2 bad input."""
    _append("alert.resolved", "Resolved", {"alert": alert}, None, reason, actor, organization, as_json)


def label(
    alert: Alert,
    verdict: Annotated[str, typer.Argument(metavar="VERDICT", help="true (a runaway) or false (a false alarm).")],
    reason: Reason = None, actor: Actor = None, organization: Organization = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Say whether an alert was right. The detectors are measured by it; the last label holds.

    Example: tally alerts label 3-17-0-repeated_tool false --reason "a nightly batch"

    Exit codes: 0 labeled; 1 it has no effect, and why; 2 bad input."""
    from tally.cli.arguments import parse_choice

    body = {"alert": alert, "label": parse_choice(verdict, ("true", "false"), "VERDICT")}
    _append("alert.labeled", "Labeled", body, None, reason, actor, organization, as_json)


def silence(
    until: Annotated[str, typer.Option(metavar="TIME", help="End, UTC, or a duration from now: 2h. `now` ends it.")],
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Beginning, UTC; now where absent.")] = None,
    alert: Annotated[str | None, typer.Option(metavar="ALERT", help="Only this alert.")] = None,
    team: Annotated[str | None, typer.Option(help="Only alerts of this team and of teams below it.")] = None,
    agent: Annotated[str | None, typer.Option(help="Only alerts of this agent.")] = None,
    session: Annotated[str | None, typer.Option(help="Only alerts of this session.")] = None,
    detector: Annotated[str | None, typer.Option(help="Only alerts that this detector raises.")] = None,
    reason: Reason = None, actor: Actor = None, organization: Organization = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Silence alerts until a moment, for maintenance too: they are found and shown, and nobody is told.

    Without a scope it silences all alerts of the organization. The same scope again changes the end. What is raised
    meanwhile and still goes on when the silence ends is sent then.

    Example: tally alerts silence --team search --until 2h --reason "an upgrade of the index"

    Example: tally alerts silence --since 2026-10-03T22:00 --until 2026-10-04T04:00 --reason "maintenance"

    Exit codes: 0 silenced; 1 it has no effect, and why; 2 bad input."""
    from tally.cli.arguments import parse_time

    scope = {"alert": alert, "team": team, "agent": agent, "session": session, "detector": detector}
    named = {name: value for name, value in scope.items() if value is not None}
    body = {"until": _parse_end(until), **named}
    since_time = None if since is None else parse_time(since, "--since")
    _append("alert.silenced", "Silenced", body, since_time, reason, actor, organization, as_json)


def _parse_end(text: str) -> str:
    """Parse the end of a silence: a time, a duration from now, or ``now``."""
    from datetime import UTC, datetime, timedelta

    from tally.cli.arguments import parse_duration_s, parse_time

    now = datetime.now(UTC)
    if text == "now":
        return now.isoformat()
    if text[-1:] in "smhd" and text[:-1].isdigit():
        return (now + timedelta(seconds=parse_duration_s(text, "--until"))).isoformat()
    return parse_time(text, "--until")


def _append(
    control_type: str, verb: str, body: dict[str, Any], effective_at: str | None, reason: str | None,
    actor: str | None, organization: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Append a record, wait for its answer, and print it. Failure where it has no effect."""
    from tally.exit import Failure
    from tally.product.alerts.handling import append_handling
    from tally.product.grants.persons import find_actor
    from tally.session import opened, settings

    config = settings(organization=organization)
    with opened(config, new=True) as log:
        answer = append_handling(log, config, control_type, body, effective_at, reason, find_actor(actor))
    partition, offset, _ = answer.position
    subject = f"alert {body['alert']}" if "alert" in body else "alerts"
    if as_json:
        print_json({
            "organization": config.organization, "control": control_type, "applied": answer.reason is None,
            "reason": answer.reason, "body": answer.body or None, "partition": partition, "offset": offset,
        })  # fmt: skip
    if answer.reason is not None:
        raise Failure(f"{subject} of {config.organization}: not {verb.lower()}, since {answer.reason}")
    if not as_json:
        until = f" until {body['until']}" if "until" in body else ""
        out.print(f"{verb} {subject} of {config.organization}{until}.", markup=False, soft_wrap=True)
        out.print(f"On the log at {partition}:{offset}.", markup=False)
