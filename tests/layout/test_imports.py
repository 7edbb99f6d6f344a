"""Who may import whom: the contracts of pyproject.toml, and that they cover everything."""

import os
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("arcbilling", "executor", "models", "provisioning", "resolvers", "rest_compat", "schema", "webhooks")


def contracts() -> dict[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return {contract["id"]: contract for contract in project["tool"]["importlinter"]["contracts"]}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs the contracts in a folder, without a cache: a run must not believe what another one saw."""
    program = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_import_contract_is_kept() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("models/clients.py", "import resolvers.clients"),
        ("models/clients.py", "import strawberry"),
        ("resolvers/clients.py", "import schema.errors"),
        ("resolvers/clients.py", "import graphql"),
        ("resolvers/clients.py", "import socket"),
        ("resolvers/clients.py", "import arcbilling.engine"),
        ("schema/clients.py", "import rest_compat.routes"),
        ("schema/clients.py", "import tortoise"),
        ("schema/clients.py", "import aiohttp"),
        ("schema/clients.py", "import starlette"),
        ("rest_compat/reading.py", "from models.enums import BillingCycle"),
        ("rest_compat/reading.py", "from resolvers import clients"),
        ("rest_compat/reading.py", "import tortoise"),
        ("rest_compat/reading.py", "import arcbilling.gate"),
        ("arcbilling/gate.py", "import aiohttp"),
        ("provisioning/mock.py", "import schema.errors"),
        ("provisioning/mock.py", "import models.enums"),
        ("provisioning/mock.py", "import starlette"),
        ("models/clients.py", "import provisioning.protocol"),
        ("webhooks/sender.py", "import rest_compat.routes"),
        ("webhooks/dispatcher.py", "import arcbilling.engine"),
        ("webhooks/dispatcher.py", "import tortoise"),
        ("schema/circuits.py", "import webhooks.sender"),
        ("schema/circuits.py", "import aiohttp"),
        ("arcbilling/clock.py", "import models.enums"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, module: str, line: str) -> None:
    for package in PACKAGES:
        for source in (ROOT / package).rglob("*.py"):
            copy = tmp_path / source.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    with (tmp_path / module).open("a") as file:
        file.write(f"\n{line}\n")
    done = lint_imports(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout


def test_every_module_of_the_process_has_its_layer() -> None:
    named = {
        name.strip(" ()") for layer in contracts()["layers"]["layers"] for name in layer.replace("|", ":").split(":")
    }
    modules = {f"arcbilling.{path.stem}" for path in (ROOT / "arcbilling").glob("*.py") if path.stem != "__init__"}
    assert modules - named == set()


def test_no_dependency_owns_the_name_of_a_folder_of_ours() -> None:
    owners = packages_distributions()
    ours = ("models", "resolvers", "rest_compat", "schema", "tests", "webhooks", "provisioning", "gateways", "admin")
    assert {name: owners[name] for name in ours if name in owners} == {}
