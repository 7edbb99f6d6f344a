"""Modules: which there are, what becomes of one that cannot be loaded, and the mock, which does nothing twice."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import arcbilling
from arcbilling import modules as public
from arcbilling.provisioner import checked, message_of, without_secrets
from provisioning import protocol, registry
from provisioning.mock import Mock, accounts
from provisioning.protocol import Account, Call, Module, ModuleError, Server

pytestmark = pytest.mark.anyio


def a_call(key: str = "mcl_1", service: int = 7, **options: str) -> Call:
    server = Server("panel.example.com", "secret")
    return Call(key, "mcl_1", service, Account("ada", "ada.example.com"), server, options)


def offered(monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    entries = [EntryPoint(name, value, registry.GROUP) for name, value in found.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries)


# Which there are


def test_the_mock_comes_along_and_none_and_manual_are_no_modules(tmp_path: Path) -> None:
    modules = registry.installed(tmp_path)
    assert modules.names == ("none", "manual", "mock")
    assert isinstance(modules.get("mock"), Mock)
    assert modules.get("none") is None
    assert [registry.is_automatic(name) for name in modules.names] == [False, False, True]
    assert list(tmp_path.iterdir()) == []


def test_a_package_adds_a_module_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered(monkeypatch, my_panel="provisioning.mock:Mock")
    modules = registry.installed(tmp_path)
    assert modules.names == ("none", "manual", "mock", "my_panel")
    added = modules.get("my_panel")
    assert added is not None
    assert added.folder == tmp_path / "my_panel"


@pytest.mark.parametrize(
    "entry",
    [
        {"gone": "no_such_package:Panel"},
        {"gone": "provisioning.mock:NoSuchClass"},
        {"gone": "provisioning.protocol:Account"},
        {"gone": "provisioning.protocol:Module"},
        {"gone": "tests.modules.that_exits:Panel"},
        {"mock": "provisioning.mock:Mock"},
        {"none": "provisioning.mock:Mock"},
        {"My Panel": "provisioning.mock:Mock"},
        {"x" * 41: "provisioning.mock:Mock"},
    ],
)
def test_a_module_that_cannot_be_used_is_left_out_and_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: dict[str, str]
) -> None:
    offered(monkeypatch, **entry)
    seen: list[Any] = []
    monkeypatch.setattr(registry.log, "error", lambda text, **more: seen.append((text, more["module"])), raising=False)
    assert registry.installed(tmp_path).names == ("none", "manual", "mock")
    assert [name for _, name in seen] == list(entry)


def test_packages_find_the_protocol_under_the_name_of_the_installation() -> None:
    assert {name: getattr(public, name) for name in public.__all__} == {
        name: getattr(protocol, name) for name in public.__all__
    }
    code = "from arcbilling.modules import Module; print(Module.__name__)"
    folder = Path(arcbilling.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "Module\n"


def test_credentials_are_not_shown_with_a_server() -> None:
    assert "secret" not in repr(a_call())


# What may be made of an answer


@pytest.mark.parametrize("name", ["", " ada", "a\0b", "a\nb", "x" * 256, 7, b"ada"])
def test_an_account_with_a_name_that_cannot_be_kept_is_refused_for_good(name: Any) -> None:
    with pytest.raises(ModuleError) as refused:
        checked(Account(name))
    assert not refused.value.retry


@pytest.mark.parametrize("answer", ["ada", {"username": "ada"}, True])
def test_an_answer_that_is_no_account_is_refused(answer: Any) -> None:
    with pytest.raises(ModuleError):
        checked(answer)


def test_an_account_or_nothing_is_taken() -> None:
    assert checked(None) is None
    assert checked(Account(None)) is None
    assert checked(Account("ada")) == Account("ada")


def test_a_message_that_quotes_the_credentials_is_kept_without_them() -> None:
    assert without_secrets("login with sec\0r\ud800et refused", a_call()) == "login with [secret] refused"


@pytest.mark.parametrize(
    "credentials", ['{"user": "root", "login": ["hunter2"]}', "root:hunter2", "user=root\npassword=hunter2", "hunter2"]
)
def test_a_message_that_quotes_a_part_of_the_credentials_is_kept_without_it(credentials: str) -> None:
    call = replace(a_call(), server=Server("panel.example.com", credentials))
    assert without_secrets("401 for hunter2", call) == "401 for [secret]"


def test_a_message_is_a_text_whatever_a_module_makes_its_error_of() -> None:
    class Own(ModuleError):
        def __init__(self, text: str) -> None:
            Exception.__init__(self, text)

    wrapped: Any = ValueError("down")
    assert [message_of(error) for error in (ModuleError(wrapped), Own("down"))] == ["down", "down"]


# The mock


async def test_the_mock_makes_one_account_for_a_key_however_often_it_is_called(tmp_path: Path) -> None:
    mock = Mock(tmp_path)
    answers = await asyncio.gather(*(mock.create(a_call()) for _ in range(20)))
    assert set(answers) == {Account("ada", "ada.example.com")}
    (account,) = accounts(tmp_path)
    assert (account["service"], account["username"], account["status"]) == (7, "ada", "active")
    await mock.create(a_call("mcl_2"))
    assert len(accounts(tmp_path)) == 2


async def test_the_mock_does_what_it_is_told_once_for_each_key(tmp_path: Path) -> None:
    mock = Mock(tmp_path)
    await mock.create(a_call("mcl_1"))
    await mock.suspend(a_call("mcl_2"))
    assert accounts(tmp_path)[0]["status"] == "suspended"
    await mock.unsuspend(a_call("mcl_3"))
    await mock.suspend(a_call("mcl_2"))
    assert accounts(tmp_path)[0]["status"] == "active"
    await mock.terminate(a_call("mcl_4"))
    await mock.create(a_call("mcl_1"))
    assert accounts(tmp_path)[0]["status"] == "terminated"


async def test_the_mock_removes_an_account_that_is_not_there_and_suspends_none(tmp_path: Path) -> None:
    mock = Mock(tmp_path)
    await mock.terminate(a_call())
    with pytest.raises(ModuleError) as refused:
        await mock.suspend(a_call())
    assert not refused.value.retry


async def test_the_mock_fails_before_or_after_it_was_done_as_it_is_told(tmp_path: Path) -> None:
    mock = Mock(tmp_path)
    for options, made, retry in (
        ({"fail": "1"}, 0, True),
        ({"refuse": "1"}, 0, False),
        ({"lose": "1"}, 1, True),
    ):
        with pytest.raises(ModuleError) as failed:
            await mock.create(a_call(**options))
        assert (len(accounts(tmp_path)), failed.value.retry) == (made, retry)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await mock.create(a_call(hang="1"))


@pytest.mark.parametrize("options", [{"fail": "often"}, {"fail": "2"}, {"lose": "nan"}, {"plan": "1"}, {"delay": "61"}])
async def test_the_mock_names_an_option_that_it_cannot_use(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(ModuleError, match=next(iter(options))) as refused:
        await Mock(tmp_path).create(a_call(**options))
    assert not refused.value.retry


def test_every_module_has_the_four_verbs() -> None:
    assert Module.__abstractmethods__ == {"create", "suspend", "unsuspend", "terminate"}
