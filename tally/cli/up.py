"""``tally up``."""


def up() -> None:
    """Run the whole product in the foreground, on loopback.

    The services are the HTTP API, the folds, the warehouse and its sink, alerts, dashboards and metrics. A service
    that crashes is restarted. If the HTTP API or Kafka keeps crashing, everything stops; otherwise the other services
    continue, and it is retried. A service with a damaged file waits until you repair it.

    Example: TALLY_HOME=~/tally tally up

    Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 a service kept crashing (the reason is shown), 2 the home or a port
    is in use."""
    from tally.product.up import run
    from tally.session import settings

    run(settings())
