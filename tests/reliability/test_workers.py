"""Several processes on one port: workers that are replaced when they die, and end with their parent."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import httpx2
import pytest

from tests.databases import on_postgres
from tests.reliability.served import ROOT, Installation
from tests.reliability.test_shutdown import ADA, refused, seconds, until

pytestmark = pytest.mark.anyio


async def workers(place: Installation) -> set[int]:
    """The processes whose figures are shown."""
    try:
        lines = httpx2.get(f"{place.url}/metrics", timeout=30).text.splitlines()
    except httpx2.TransportError:  # it went to one that was just killed
        return set()
    return {int(line.split('"')[1]) for line in lines if line.startswith("process_start_time_seconds{")}


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


async def both(place: Installation) -> set[int]:
    """The two workers, once they serve."""
    found: set[int] = set()

    async def there() -> bool:
        found.update(await workers(place))
        return len(found) == 2

    await until(there)
    return found


@on_postgres
async def test_workers_share_a_port_are_replaced_when_they_die_and_end_together(place: Installation) -> None:
    headers = {"authorization": f"Bearer {await place.new_key()}"}
    place.environment["ARCBILLING_SHUTDOWN_DELAY"] = "1"
    async with place.serving("--workers", "2") as server, httpx2.AsyncClient(base_url=place.url, timeout=30) as http:
        first = await both(place)
        for number in range(20):  # each on a connection of its own, so that both workers get some
            async with httpx2.AsyncClient(base_url=place.url, headers=headers) as once:
                body = ADA | {"email": f"ada{number}@shop.test"}
                assert (await once.post("/api/v1/clients", json=body)).status_code == 201
        text = (await http.get("/metrics")).text
        assert 'requests_total{door="rest",method="POST",route="/clients",status="201"} 20.0' in text
        os.kill(min(first), signal.SIGKILL)
        then: set[int] = set()

        async def replaced() -> bool:
            nonlocal then
            then = await workers(place)
            return len(then - {min(first)}) == len(then) == 2

        await until(replaced)
        assert (await http.get("/api/v1/clients", headers=headers)).status_code == 200
        server.terminate()
        told = seconds()
        while (await http.get("/readyz")).status_code == 200:
            assert seconds() - told < 0.5
        assert await server.wait() == 0
        assert seconds() - told < 6
        assert not any(alive(pid) for pid in first | then)
    said = b"".join(place.told).decode()
    assert (
        said.count("Make a first API key in another terminal:  ARCBILLING_DATABASE_URL=… arcbilling keys create") == 1
    )
    assert "Traceback" not in said


@on_postgres
async def test_workers_accept_nothing_new_while_they_finish_what_they_have(place: Installation) -> None:
    key = await place.new_key()
    async with place.serving("--workers", "2") as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
        body = json.dumps(ADA).encode()
        head = f"POST /api/v1/clients HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {len(body)}"
        writer.write(f"{head}\r\n\r\n".encode() + body[:10])
        await writer.drain()
        await asyncio.sleep(0.2)
        server.terminate()
        await until(lambda: refused(place), within=4)
        writer.write(body[10:])
        assert (await reader.read()).startswith(b"HTTP/1.1 201 ")
        writer.close()
        assert await server.wait() == 0


@on_postgres
async def test_a_hangup_replaces_the_workers_one_after_the_other(place: Installation) -> None:
    place.environment["TMPDIR"] = str(place.folder)
    async with place.serving("--workers", "2") as server, httpx2.AsyncClient(base_url=place.url) as http:
        first = await both(place)
        server.send_signal(signal.SIGHUP)

        async def replaced() -> bool:
            assert (await http.get("/livez", headers={"connection": "close"})).status_code == 200
            return not any(alive(pid) for pid in first)

        await until(replaced)
        await until(lambda: counted(place, 2))
        assert len(await both(place) - first) == 2


async def counted(place: Installation, number: int) -> bool:
    """Whether so many workers count as alive."""
    return len(list(place.folder.glob("arcbilling-metrics-*/gauge_livesum_*.db"))) == number


@on_postgres
async def test_a_signal_that_comes_while_a_worker_is_replaced_ends_that_one_too(place: Installation) -> None:
    async with place.serving("--workers", "2") as server:
        await both(place)
        before = children(server.pid)
        server.send_signal(signal.SIGHUP)

        async def begun() -> bool:
            return bool(children(server.pid) - before)

        await until(begun)
        server.terminate()
        told = seconds()
        assert await server.wait() == 0
        assert seconds() - told < 12


def children(pid: int) -> set[str]:
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@on_postgres
async def test_a_worker_whose_replacement_cannot_start_has_it_later(place: Installation) -> None:
    async with place.serving("--workers", "2"), httpx2.AsyncClient(base_url=place.url) as http:
        victim = min(await both(place))
        secret = place.folder / "secret.key"
        kept = secret.rename(place.folder / "kept")
        secret.mkdir()  # nobody can start with this
        os.kill(victim, signal.SIGKILL)
        await asyncio.sleep(5)
        assert (await http.get("/livez")).status_code == 200
        secret.rmdir()
        kept.rename(secret)

        async def two() -> bool:
            return len(await workers(place) - {victim}) == 2

        await until(two)


@on_postgres
async def test_workers_end_when_their_parent_is_killed(place: Installation) -> None:
    place.environment |= {"ARCBILLING_WORKERS": "2", "TMPDIR": str(place.folder)}  # nobody tidies up behind it
    async with place.serving() as server:
        pids = await both(place)
        server.kill()

        async def gone() -> bool:
            return not any(alive(pid) for pid in pids)

        await until(gone)


BROKEN = """
from arcbilling import cli, server
config = server.configuration
server.configuration = lambda _, workers: config("arcbilling.server:nothing", workers)
cli.main()
"""


@on_postgres
async def test_workers_that_cannot_start_end_the_command_with_a_sentence(place: Installation) -> None:
    arguments = ["-c", BROKEN, "serve", "--port", "0", "--workers", "2"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, env=place.environment, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        _, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode().splitlines()[-1] == "The server could not start; the log says why."


@pytest.mark.parametrize("auto_migrate", ["on", "off"])
async def test_a_database_that_cannot_be_reached_ends_the_command_with_a_sentence(
    tmp_path: Path, auto_migrate: str
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"postgresql://billing:hunter2hunter2@127.0.0.1:{nobody.getsockname()[1]}/billing"
        place = Installation(tmp_path, DATABASE_URL=url, AUTO_MIGRATE=auto_migrate)
        async with asyncio.timeout(60):
            code, out, err = await place.command("serve", "--port", "0", "--workers", "2")
    assert (code, out) == (1, "")
    (sentence,) = err.splitlines()
    assert sentence.endswith(".")
    assert "hunter2" not in sentence
