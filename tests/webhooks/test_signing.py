"""Signatures: the contract's vector, and what anybody checks them with."""

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.events import canonical
from schema.keys import new_secret
from webhooks.signing import (
    SECONDS_OF_TOLERANCE,
    TAIL_BYTES,
    NotSigned,
    check_secret,
    signature_header,
    signed_body,
    verify_body,
    verify_header,
)

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
CONTENT = (
    b'{"data":{"client_id":56,"currency":"USD","id":1234,"total":"29.99"},'
    b'"event":"invoice.paid","timestamp":"2025-01-15T12:00:00Z"}'
)
ID, SECONDS = "evt_01JHN5Z8Q0000000000000000A", 1736942400
STANDARD = "v1,hbkNDdDm8QlkM+N7CmB8ideOHxarprSWYE1epFGJ/Rc="
PAYLOADS = st.fixed_dictionaries(
    {
        "data": st.dictionaries(
            st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12),
            st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text()),
            max_size=8,
        ),
        "event": st.just("invoice.paid"),
        "timestamp": st.just("2025-01-15T12:00:00Z"),
    }
)


def test_the_vector_of_the_contract() -> None:
    body = signed_body(CONTENT, SECRET)
    signature = "sha256=8ebe3a3e6aba6102c732d6233909d5cb9fbdc698fac985653b084b238598606c"
    assert len(body) == 212
    assert json.loads(body) == {**json.loads(CONTENT), "signature": signature}
    assert signature_header(body, ID, SECONDS, [SECRET]) == STANDARD


@given(PAYLOADS)
def test_a_receiver_checks_it_with_or_without_a_parser(payload: dict[str, object]) -> None:
    secret = new_secret()
    body = signed_body(canonical(payload).encode(), secret)
    cut = body[:-TAIL_BYTES] + b"}"
    parsed = json.loads(body)
    told = parsed.pop("signature")
    assert list(json.loads(body))[-1] == "signature"
    for content in (cut, canonical(parsed).encode()):
        assert told == "sha256=" + hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()
    assert verify_body(body, secret) == cut


@given(PAYLOADS, st.integers(1, 2**33))
def test_the_header_is_that_of_standard_webhooks(payload: dict[str, object], seconds: int) -> None:
    """By the steps of its specification, done by hand."""
    secrets = [new_secret(), new_secret()]
    body = signed_body(canonical(payload).encode(), secrets[0])
    header = signature_header(body, ID, seconds, secrets)
    for secret, signature in zip(secrets, header.split(" "), strict=True):
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = b".".join([ID.encode(), str(seconds).encode(), body])
        assert signature == "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        verify_header(body, ID, str(seconds), header, secret, seconds)


def test_a_change_or_another_secret_is_found() -> None:
    body = signed_body(CONTENT, SECRET)
    for wrong in (body.replace(b"29.99", b"19.99"), body[:-1], body[:60], b"", CONTENT):
        with pytest.raises(NotSigned):
            verify_body(wrong, SECRET)
    with pytest.raises(NotSigned, match="another secret"):
        verify_body(body, new_secret())
    for id, seconds, secret in ((f"{ID}x", SECONDS, SECRET), (ID, SECONDS + 1, SECRET), (ID, SECONDS, new_secret())):
        with pytest.raises(NotSigned, match="No signature"):
            verify_header(body, id, str(seconds), STANDARD, secret, SECONDS)


@pytest.mark.parametrize("timestamp", ["", "x", "-1", "1.5", "١٧٣٦٩٤٢٤٠٠", "9" * 13])
def test_a_timestamp_is_a_number_of_seconds(timestamp: str) -> None:
    with pytest.raises(NotSigned, match="must be a number of seconds"):
        verify_header(b"", ID, timestamp, STANDARD, SECRET, SECONDS)


@pytest.mark.parametrize("off", [-SECONDS_OF_TOLERANCE - 1, SECONDS_OF_TOLERANCE + 1])
def test_an_old_request_is_not_taken_again(off: int) -> None:
    body = signed_body(CONTENT, SECRET)
    with pytest.raises(NotSigned, match="seconds away from now"):
        verify_header(body, ID, str(SECONDS), STANDARD, SECRET, SECONDS + off)


@pytest.mark.parametrize("secret", ["", "whsec_", "AAECAwQF", "whsec_%%%", "whsec_AAE"])
def test_what_is_no_secret_is_said_to_be_none(secret: str) -> None:
    with pytest.raises(NotSigned, match="The secret is not one"):
        check_secret(secret)
    check_secret(SECRET)
