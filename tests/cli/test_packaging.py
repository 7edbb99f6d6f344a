"""The wheel: whole, private about its folders, and at home in any directory."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).parents[2]
PRIVATE = ("executor", "models", "provisioning", "resolvers", "rest_compat", "schema", "webhooks")
PARTS = ("arcbilling", *PRIVATE, "pyproject.toml", "README.md", "LICENSE")
BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"


def sources(folder: str, *endings: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.name.endswith(endings) and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the checkout, built by the build backend itself."""
    folder = tmp_path_factory.mktemp("wheel")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / part)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder / "dist")], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (built,) = (folder / "dist").glob("*.whl")
    return Path(built)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv with the wheel, which finds the dependencies where this Python does."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    venv.EnvBuilder(with_pip=False, symlinks=True).create(home)
    site = next(home.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    python = home / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    return home


def environ(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ARCBILLING", "_ARC", "PYTHON"))}
    return {**kept, "HOME": str(folder), "XDG_DATA_HOME": str(folder / "share")}


def run(installed: Path, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(installed / "bin" / "arcbilling"), *arguments],
        cwd=folder,
        env=environ(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_everything_that_the_checkout_runs_on(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"arcbilling/_app/{name}" for folder in PRIVATE for name in sources(folder, ".py", ".graphql", ".json", ".md")
    }
    wanted |= sources("arcbilling", ".py", ".js", ".js.gz", ".html", "LICENSE")
    assert wanted - held == set()
    assert any(name.endswith(".graphql") for name in wanted)
    assert any(name.endswith("migrations/0001_initial.py") for name in wanted)


def test_the_wheel_owns_one_top_level_name(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"arcbilling"}


def test_the_wheel_holds_no_tests_and_no_data(wheel: Path) -> None:
    held = zipfile.ZipFile(wheel).namelist()
    assert [name for name in held if "test" in name.lower() or name.endswith((".sqlite3", ".key", ".pyc"))] == []


def test_nothing_common_lands_in_site_packages(installed: Path) -> None:
    site = next(installed.glob("lib/python*/site-packages"))
    names = {path.name for path in site.iterdir()}
    assert names & {*PRIVATE, "tests"} == set()
    assert "arcbilling" in names


def test_the_installed_command_works_from_any_directory(installed: Path, tmp_path: Path) -> None:
    for name in ("schema", "models"):  # a stranger's folders of the same names do not get in the way
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('the wrong one')")
    printed = run(installed, tmp_path, "schema", "print")
    assert "type Mutation" in printed
    assert run(installed, tmp_path, "openapi", "print").startswith("{")
    assert run(installed, tmp_path, "keys", "create", "first").startswith("arcb_live_")
    assert (tmp_path / "share" / "arcbilling" / "arcbilling.sqlite3").is_file()
    assert "active" in run(installed, tmp_path, "keys", "list")


def test_the_installed_command_serves_the_docs(installed: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [str(installed / "bin" / "arcbilling"), "serve", "--port", "0"],
        cwd=tmp_path,
        env=environ(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            url = next(line.split()[-1] for line in process.stderr if "/docs" in line).removesuffix("/docs")
            assert httpx2.get(f"{url}/readyz", timeout=60).json() == {"status": "ready"}
            page = httpx2.get(f"{url}/docs", timeout=60)
            assert page.status_code == 200
            assert "<html" in page.text
            assert httpx2.get(f"{url}/api/v1/openapi.json", timeout=60).json()["openapi"].startswith("3.1")
        finally:
            process.kill()
