"""Run Apache Kafka as a service of the home, on one machine."""

import signal
from pathlib import Path
from types import FrameType

from ledger.errors import TallyError
from ledger.home.files import write_atomically
from ledger.home.layout import KAFKA_PORT
from ledger.home.locks import service_lock
from ledger.home.ports import HOST, find_free_port, find_port_conflict
from ledger.home.presence import announce
from ledger.settings import Settings
from tally.exit import Failure
from tally.local_kafka.broker import VERSION, Broker, Node, NodeDied, make_cluster_id
from tally.local_kafka.jars import ensure_jars
from tally.output import err, format_size, progress_bar

SERVICE = "kafka"


def serve(settings: Settings, port: int) -> None:
    """Run the home's broker until SIGTERM or SIGINT. TallyError where it cannot start, Failure where it crashes."""
    with service_lock(settings.home, SERVICE):
        err.print(f"Apache Kafka {VERSION} for one machine: without replicas, reachable on loopback only.")
        folder = settings.home / SERVICE
        client_port = _choose_port(folder / "port", port)
        controller_port = find_free_port()
        log = settings.home / "logs" / "kafka-server.log"
        node = Node(id=1, folder=folder, log=log, port=client_port, voters={1: controller_port})
        broker = Broker(node, _bring_jars(), make_cluster_id())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        try:
            broker.start()
            broker.wait_until_ready()
            write_atomically(folder / "port", str(client_port))
            url = f"kafka://{HOST}:{client_port}"
            announce(settings.home, SERVICE, url=url, port=client_port)
            err.print(f"Kafka answers at {url}")
            broker.wait()
            broker.check()
            raise Failure(f"Kafka stopped unexpectedly; the last lines of {log}:{broker.last_lines()}")
        except NodeDied as crash:
            raise Failure(str(crash)) from crash
        finally:
            broker.stop()


def _choose_port(path: Path, port: int) -> int:
    """Return the given port; else the previous one, as clients outlive a restart; else any free one."""
    if port == 0:
        last_port = _last_port(path)
        return last_port if last_port and find_port_conflict(last_port) is None else find_free_port()
    if (obstacle := find_port_conflict(port)) is not None:
        raise TallyError(
            f"port {port} for Kafka is taken ({obstacle}): choose another with --port or TALLY_KAFKA_PORT, "
            "or 0 for any free port"
        )
    return port


def _last_port(path: Path) -> int:
    """Read the previous port; 0 where there is none, or where the file is damaged."""
    try:
        last = int(path.read_text()) if path.exists() else 0
        return last if 0 < last < 1 << 16 else 0
    except (ValueError, OSError) as error:
        err.print(f"{path} is damaged ({error}): {KAFKA_PORT.way_out}", style="yellow", markup=False)
        return 0


def _bring_jars() -> list[Path]:
    with progress_bar() as bar:
        task = bar.add_task("downloading Apache Kafka", total=None, visible=False)

        def report(received: int, total: int) -> None:
            if not bar.tasks[0].visible:
                err.print(f"Downloading Apache Kafka to this machine: {format_size(total)}, once.")
            bar.update(task, completed=received, total=total, visible=True)

        return ensure_jars(report)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit
