"""The distribution by itself: built as a wheel, and used with what it says it needs."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.ingest.api.conftest import Served
from tests.sdk.conftest import read_inferences
from tests.tally.conftest import ROOT

REQUIREMENTS = (
    "pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection",
    "httpx", "httpcore", "h11", "anyio", "sniffio", "certifi", "idna",
)  # fmt: skip
"""pydantic and httpx, and what they need; everything else of this environment is out of reach."""


def test_the_wheel_records_with_pydantic_and_httpx_alone(api_server: Served, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sdk", tmp_path / "sdk", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=tmp_path / "sdk", check=True, capture_output=True)
    (wheel,) = tmp_path.glob("tallystick-*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    (packages,) = {path for path in sys.path if path.endswith("site-packages")}
    for name in REQUIREMENTS:
        for package in (Path(packages) / name, Path(packages) / f"{name}.py"):
            if package.exists():
                (site / package.name).symlink_to(package)
    body = """
import sys
from tallystick import Client
client = Client(source="app")
client.record(model="m")
assert client.flush(60)
print(sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {
        "PYTHONPATH": str(site), "TALLY_URL": api_server.address.geturl(), "TALLY_TOKEN": api_server.bearer("write"),
        "TALLY_SPOOL": str(tmp_path / "spool"),
    }  # fmt: skip
    process = subprocess.run([sys.executable, "-S", "-c", body], env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert "tallystick" in process.stdout and len(read_inferences(api_server)) == 1
    (metadata,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("METADATA"))
    metadata_lines = zipfile.ZipFile(wheel).read(metadata).decode().splitlines()
    requires = [line.split()[1].partition("<")[0] for line in metadata_lines if line.startswith("Requires-Dist")]
    assert requires == ["httpx", "pydantic"]
