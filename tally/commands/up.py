"""``tally up``."""


def up() -> None:
    """Run the whole product in the foreground: folds, warehouse, dbt models and dashboards, on loopback.

    Example: TALLY_HOME=~/tally tally up

    Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 a part died (its reason is told), 2 home or port is taken."""
    from tally.opening import settings
    from tally.up import run

    run(settings())
