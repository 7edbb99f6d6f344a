"""The container image and the composition: linted, complete, in agreement with the settings. Neither is run here."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from arcbilling import settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]


def packages() -> set[str]:
    """The folders that the wheel is made of."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    return {*wheel["packages"], *wheel["force-include"]}


def environment(service: str) -> dict[str, str]:
    return dict(SERVICES[service]["environment"])


def test_the_dockerfile_passes_its_linter() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_is_built_from_everything_that_the_wheel_holds() -> None:
    copied = set(re.findall(r"^COPY (\w+) /source/", DOCKERFILE, re.MULTILINE))
    let_in = set(re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert packages() <= copied
    assert copied - {"LICENSE"} == let_in - {"LICENSE"}


def test_the_image_does_not_run_as_root() -> None:
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE)[-1] == "10001:10001"


def test_the_image_has_the_drivers_of_postgresql_and_redis() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert re.search(r"^asyncpg==", lock, re.MULTILINE)
    assert re.search(r"^redis==", lock, re.MULTILINE)


def test_a_database_is_healthy_only_once_others_can_connect() -> None:
    """At its first start the image runs a server that listens on its socket alone, and then another."""
    assert "pg_isready --host 127.0.0.1 " in SERVICES["postgres"]["healthcheck"]["test"][1]


@pytest.mark.parametrize("service", ["app", "migrate"])
def test_the_composition_sets_only_settings_that_there_are(service: str) -> None:
    known = {name for name, _, _ in settings.table()}
    assert set(environment(service)) <= known
    named = set(re.findall(r"ARCBILLING_[A-Z_]+", TEXT + (ROOT / ".env.example").read_text()))
    assert named - {"ARCBILLING_PUBLISH"} <= known


def test_the_values_of_the_composition_can_be_read() -> None:
    given = {"POSTGRES_PASSWORD": "p" * 32, "ARCBILLING_SECRET_KEY": "s" * 32}

    def filled(value: str) -> str:
        return re.sub(
            r"\$\{(\w+)(?::-([^}]*)|:\?[^}]*)\}", lambda found: given.get(found[1], found[2] or ""), str(value)
        )

    read = settings.load({name: filled(value) for name, value in environment("app").items()})
    assert not read.is_sqlite
    assert (read.workers, read.auto_migrate, read.shutdown_delay) == (1, False, 5)
    grace = int(SERVICES["app"]["stop_grace_period"].removesuffix("s"))
    assert grace > read.shutdown_delay + 10 + 15


def test_the_composition_holds_no_secret_and_starts_without_none() -> None:
    for name in ("POSTGRES_PASSWORD", "ARCBILLING_SECRET_KEY"):
        assert all(mark == ":?" for mark in re.findall(rf"\$\{{{name}(:.)", TEXT))
        assert f"\n{name}=\n" in (ROOT / ".env.example").read_text()
    assert "/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_nothing_starts_before_what_it_needs() -> None:
    needs = {name: service.get("depends_on", {}) for name, service in SERVICES.items()}
    assert needs["migrate"] == {"postgres": {"condition": "service_healthy"}}
    assert needs["app"]["migrate"] == {"condition": "service_completed_successfully"}
    assert environment("app")["ARCBILLING_AUTO_MIGRATE"] == "off"
    for name in ("postgres", "redis"):
        assert "test" in SERVICES[name]["healthcheck"]
    assert "HEALTHCHECK" in DOCKERFILE
    assert "/readyz" in DOCKERFILE


def test_the_application_can_be_scaled() -> None:
    assert "container_name" not in SERVICES["app"]
    (port,) = SERVICES["app"]["ports"]
    assert re.search(r":-127\.0\.0\.1:(\d+)-(\d+)\}:8000$", port), "a range of ports, on the machine itself alone"
