"""Options that several commands of ``tally grant`` have: the calls that a grant allows, and its limits."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

_LISTS, _LIMITS = "Calls that it allows (names with commas between; any where absent)", "Limits"
Content = dict[str, Any]
"""The fields ``allow`` and ``limits`` of a record; None where no option says any."""

LimitTexts = Annotated[
    list[str] | None,
    typer.Option(
        "--limit", metavar="METER:AMOUNT/WINDOW", rich_help_panel=_LIMITS,
        help="billed:100USD/1h, notional:50EUR/month, calls:1000/day@Europe/Berlin, tokens:5M/total. Repeatable. With "
        ",floor=40 the parent's limit keeps 40 of itself for it; with ,lend=10 others may use 10 of an unused floor.",
    ),
]  # fmt: skip
FirstMonth = Annotated[
    int | None,
    typer.Option(min=1, max=12, metavar="MONTH", rich_help_panel=_LIMITS, help="First month of quarters and years."),
]
Thresholds = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=_LIMITS, help="Percents at which a decision is recorded, beside 100: 50,80 (the default)."
    ),
]
AtLimit = Annotated[
    str | None, typer.Option(rich_help_panel=_LIMITS, help="deny (the default), throttle, warn or downgrade=MODEL.")
]
UnknownUsage = Annotated[
    str | None,
    typer.Option(
        rich_help_panel=_LIMITS,
        help="Calls of unknown cost: assume_greatest (the default), tokens_only or deny.",
    ),
]
Models = Annotated[str | None, typer.Option(rich_help_panel=_LISTS, help="Models.")]
Providers = Annotated[str | None, typer.Option(rich_help_panel=_LISTS, help="Providers.")]
Regions = Annotated[str | None, typer.Option(rich_help_panel=_LISTS, help="Regions.")]
DataClasses = Annotated[str | None, typer.Option(rich_help_panel=_LISTS, help="Data classes.")]
Purposes = Annotated[str | None, typer.Option(rich_help_panel=_LISTS, help="Purposes.")]
Environments = Annotated[str | None, typer.Option(rich_help_panel=_LISTS, help="Environments.")]
Operations = Annotated[str | None, typer.Option(rich_help_panel=_LISTS, help="Operations.")]
Classes = Annotated[str | None, typer.Option(rich_help_panel=_LISTS, help="Inference classes.")]


def with_content(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of calls and limits, and as its first argument the content that they say."""
    shared = inspect.signature(_build_content).parameters
    _, *own = inspect.signature(command).parameters.values()

    @functools.wraps(command)
    def run(**arguments: Any) -> None:
        content = _build_content(**{name: arguments.pop(name) for name in shared})
        command(content, **arguments)

    parameters = sorted((*own, *shared.values()), key=lambda parameter: parameter.default is not parameter.empty)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # by which Typer reads options
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _build_content(
    limit: LimitTexts = None,
    models: Models = None,
    providers: Providers = None,
    regions: Regions = None,
    data_classes: DataClasses = None,
    purposes: Purposes = None,
    environments: Environments = None,
    operations: Operations = None,
    classes: Classes = None,
    thresholds: Thresholds = None,
    at_limit: AtLimit = None,
    unknown_usage: UnknownUsage = None,
    first_month: FirstMonth = None,
) -> Content:
    from tally.cli.grant_options import build_allow, build_limits

    lists = {
        "models": models, "providers": providers, "regions": regions, "data_classes": data_classes,
        "purposes": purposes, "environments": environments, "operations": operations, "inference_classes": classes,
    }  # fmt: skip
    limits = build_limits(limit or [], thresholds, at_limit, unknown_usage, first_month)
    return {"allow": build_allow(lists) or None, "limits": limits or None}
