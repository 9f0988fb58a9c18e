"""Apache Kafka itself as a process of the home, for one machine."""

import signal
from pathlib import Path
from types import FrameType

from ledger.errors import TallyError
from ledger.home.files import write_atomically
from ledger.home.free_ports import HOST, free_port, hindrance
from ledger.home.layout import KAFKA_PORT
from ledger.home.locks import only_one
from ledger.home.presence import announce
from ledger.settings import Settings
from tally.exit import Failure
from tally.local_kafka.broker import VERSION, Broker, Node, NodeDied, new_cluster_id
from tally.local_kafka.jars import bring
from tally.output import err, progress, size

PART = "kafka"


def serve(settings: Settings, port: int) -> None:
    """Run the home's broker until SIGTERM or SIGINT. TallyError where it cannot start, Failure where it dies."""
    with only_one(settings.home, PART):
        err.print(f"Apache Kafka {VERSION} for one machine: one copy of the data, and only loopback reaches it.")
        folder = settings.home / PART
        taken = _port(folder / "port", port)
        controller = free_port()
        log = settings.home / "logs" / "kafka-server.log"
        node = Node(id=1, folder=folder, log=log, port=taken, voters={1: controller})
        broker = Broker(node, _jars(), new_cluster_id())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop)
        try:
            broker.start()
            broker.ready()
            write_atomically(folder / "port", str(taken))
            url = f"kafka://{HOST}:{taken}"
            announce(settings.home, PART, url=url, port=taken)
            err.print(f"Kafka answers at {url}")
            broker.wait()
            broker.check()
            raise Failure(f"Kafka stopped, and not by us; the last lines of {log}:{broker.last_lines()}")
        except NodeDied as death:
            raise Failure(str(death)) from death
        finally:
            broker.stop()


def _port(kept: Path, port: int) -> int:
    """The port that was asked for; else the one of last time, as clients outlive a restart; else any free one."""
    if port == 0:
        last = _last_port(kept)
        return last if last and hindrance(last) is None else free_port()
    if (why := hindrance(port)) is not None:
        raise TallyError(
            f"port {port} for Kafka is taken ({why}): choose another with --port or TALLY_KAFKA_PORT, "
            "or 0 for any that is free"
        )
    return port


def _last_port(kept: Path) -> int:
    """The port of last time; 0 where none is known. One that cannot be read is worth no more than a new port."""
    try:
        last = int(kept.read_text()) if kept.exists() else 0
        return last if 0 < last < 1 << 16 else 0
    except (ValueError, OSError) as error:
        err.print(f"{kept} is damaged ({error}): {KAFKA_PORT.way_out}", style="yellow", markup=False)
        return 0


def _jars() -> list[Path]:
    with progress() as shown:
        task = shown.add_task("Apache Kafka arrives", total=None, visible=False)

        def arrived(done: int, total: int) -> None:
            if not shown.tasks[0].visible:
                err.print(f"The first start brings Apache Kafka to this machine: {size(total)}, once.")
            shown.update(task, completed=done, total=total, visible=True)

        return bring(arrived)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit
