"""`arcbilling webhooks verify`: whether a delivery that was saved is ours and whole."""

import time
from pathlib import Path

import pytest

from schema.keys import new_secret
from tests.shell import Done, Shell
from webhooks.signing import signature_header, signed_body

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
CONTENT = (
    b'{"data":{"client_id":56,"currency":"USD","id":1234,"total":"29.99"},"event":"invoice.paid",'
    b'"timestamp":"2025-01-15T12:00:00Z"}'
)
BODY = signed_body(CONTENT, SECRET)
ID, SENT_AT = "evt_01JHN5Z8Q0000000000000000A", 1736942400
VECTOR = "v1,hbkNDdDm8QlkM+N7CmB8ideOHxarprSWYE1epFGJ/Rc="


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    (tmp_path / "secret.txt").write_text(SECRET + "\n")
    (tmp_path / "body.json").write_bytes(BODY)
    return Shell(tmp_path)


def headers(signature: str = VECTOR, id: str = ID, sent_at: object = SENT_AT) -> list[str]:
    lines = (f"webhook-id: {id}", f"Webhook-Timestamp:{sent_at}", f"WEBHOOK-SIGNATURE: {signature}", "Accept: */*")
    return [part for line in lines for part in ("--header", line)]


def verified(shell: Shell, *more: str, secret: bool = True, **environ: str) -> Done:
    given = ["--secret-file", "secret.txt"] if secret else []
    return shell.run("webhooks", "verify", "body.json", *given, *more, **environ)


def test_the_vector_of_the_contract_is_right_in_both_ways(shell: Shell) -> None:
    done = verified(shell, *headers())
    assert (done.returncode, done.stdout) == (0, "right\tsignature\nright\twebhook-signature\n")
    assert "It was sent at 2025-01-15T12:00:00Z" in done.stderr
    assert not shell.data.exists()


def test_the_body_alone_is_enough_and_an_editor_s_line_break_does_no_harm(shell: Shell) -> None:
    (shell.data.parent / "body.json").write_bytes(BODY + b"\r\n")
    done = verified(shell)
    assert (done.returncode, done.stdout, done.stderr) == (0, "right\tsignature\n", "")


def test_the_secret_is_read_from_the_environment_or_the_option_too(shell: Shell) -> None:
    assert verified(shell, secret=False, WEBHOOK_SECRET=SECRET).returncode == 0
    assert verified(shell, "--secret", SECRET, secret=False).returncode == 0


@pytest.mark.parametrize("body", [BODY.replace(b"29.99", b"30.00"), BODY[:-1], CONTENT, b"", b"{}"])
def test_a_body_that_was_changed_is_wrong_and_the_exit_is_1(shell: Shell, body: bytes) -> None:
    (shell.data.parent / "body.json").write_bytes(body)
    done = verified(shell, *headers())
    assert done.returncode == 1
    first, second = done.stdout.splitlines()
    assert first.startswith("wrong\tsignature\tThe ")
    assert second.startswith("wrong\twebhook-signature\tNo signature in webhook-signature matches")


def test_each_signature_is_told_of_by_itself(shell: Shell) -> None:
    both = signature_header(BODY, ID, SENT_AT, [new_secret(), SECRET])
    assert verified(shell, *headers(both)).returncode == 0
    for wrong in (headers(id="evt_2"), headers(sent_at=SENT_AT + 1), headers("v1,AAAA"), headers(sent_at="x")):
        done = verified(shell, *wrong)
        assert done.returncode == 1
        first, second = done.stdout.splitlines()
        assert first == "right\tsignature"
        assert second.startswith("wrong\twebhook-signature\t")
    done = verified(shell, "--header", f"webhook-id: {ID}")
    assert (done.returncode, "The header webhook-timestamp is missing" in done.stdout) == (1, True)


def test_headers_of_which_none_is_signed_are_refused_and_not_passed_over(shell: Shell) -> None:
    """A name that is written wrong would otherwise look like a check that was passed."""
    given = ("webhooks", "verify", "body.json", "--secret-file", "secret.txt")
    assert "webhook-id" in shell.misused(*given, "--header", "webhookid: evt_1")


def test_what_cannot_be_checked_is_refused_without_the_secret_in_the_words(shell: Shell) -> None:
    assert shell.misused("webhooks", "verify", "body.json")
    assert shell.misused("webhooks", "verify", "body.json", "--secret-file", "secret.txt", "--header", "webhook-id")
    for arguments in (
        ("body.json", "--secret", "hunter2"),
        ("body.json", "--secret", "whsec_hunter2!"),
        ("body.json", "--secret-file", "nowhere.txt"),
        ("nowhere.json", "--secret-file", "secret.txt"),
    ):
        assert "hunter2" not in shell.refused("webhooks", "verify", *arguments)


def test_the_age_of_what_was_saved_is_no_fault(shell: Shell) -> None:
    for age in (0, 3600, 10 * 86400):
        sent_at = int(time.time()) - age
        signature = signature_header(BODY, ID, sent_at, [SECRET])
        assert verified(shell, *headers(signature, sent_at=sent_at)).returncode == 0
