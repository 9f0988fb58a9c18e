"""The contracts of import-linter cover every folder of Python code, and bite."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_LAYERS = {"tests", "sdk", "tools"}
"""The tests import everything; the SDK's package is `tallystick`; the tools import nothing of the product."""


def test_every_package_is_a_layer() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    packages = {path.parent.name for path in ROOT.glob("*/*.py") if path.parent.name not in NOT_LAYERS} - {".venv"}
    layers = next(contract["layers"] for contract in config["contracts"] if contract["type"] == "layers")
    circles = next(contract["ancestors"] for contract in config["contracts"] if contract["type"] == "acyclic_siblings")
    assert packages | {"tallystick"} == set(config["root_packages"]) == set(layers) == set(circles)


def test_an_import_that_runs_up_is_refused(tmp_path: Path) -> None:
    for package, line in {"low": "import high", "high": ""}.items():
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(line + "\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_packages = ["low", "high"]\n'
        '[[tool.importlinter.contracts]]\nname = "layers"\ntype = "layers"\nlayers = ["high", "low"]\n'
    )
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stdout
    assert "low is not allowed to import high" in result.stdout
