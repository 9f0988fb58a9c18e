"""``tally up``."""


def up() -> None:
    """Run the whole product in the foreground: folds, warehouse, dbt models, dashboards and metrics, on loopback.

    A part that dies is told and started again; one that keeps dying stops the whole. One whose files
    are damaged rests until they are mended, and the others go on.

    Example: TALLY_HOME=~/tally tally up

    Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 a part kept dying (its reason is told), 2 home or port is taken."""
    from tally.product.up import run
    from tally.session import settings

    run(settings())
