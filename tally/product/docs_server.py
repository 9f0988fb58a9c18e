"""dbt's documentation of the models: one HTML page, built and served on loopback."""

from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ledger.errors import TallyError
from ledger.home.ports import HOST, check_port
from ledger.settings import Settings
from tally.dbt_models import build_docs
from tally.output import out
from tally.product.catch_up import warehouse_with_models


def write_page(settings: Settings, path: Path) -> None:
    """Build the page and write it to a file. TallyError where it cannot be written."""
    try:
        with path.open("ab") as file:  # refused at once, and what is there stays until the page is built
            page = _build_page(settings)
            file.truncate(0)
            file.write(page)
    except OSError as error:
        raise TallyError(f"cannot write --output {path}: {error.strerror}") from None
    out.print(f"Wrote {path}.", markup=False)


def serve_page(settings: Settings, port: int) -> None:
    """Build the page, print its address and serve it until Ctrl-C. TallyError where the port is taken."""
    free_port = check_port(port, "documentation", "--port")
    page = _build_page(settings)
    with ThreadingHTTPServer((HOST, free_port), make_handler(page)) as server, suppress(KeyboardInterrupt):
        out.print(f"Documentation of the models: http://{HOST}:{free_port} (Ctrl-C stops it)", markup=False)
        server.serve_forever()


def _build_page(settings: Settings) -> bytes:
    with warehouse_with_models(settings):
        return build_docs(settings).read_bytes()


def make_handler(page: bytes) -> type[BaseHTTPRequestHandler]:
    """Make the handler of a server that has this page alone."""

    class Handler(BaseHTTPRequestHandler):
        """Answer `/` with the page, and anything else with 404."""

        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *arguments: object) -> None:
            """Write no line a request."""

    return Handler
