"""Signatures: the reference's, which stands in the body, and that of Standard Webhooks, which stands in a header."""

import base64
import binascii
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
TAIL_BYTES = 87
"""What a signed body has after its content but for the closing brace: `,"signature":"sha256=…"}`."""
SECONDS_OF_TOLERANCE = 300
"""How far the clock of the sender may be from the receiver's."""


class NotSigned(ValueError):
    """What was received was not signed with the secret, or was changed; the sentence says what is wrong."""


def signed_body(content: bytes, secret: str) -> bytes:
    """The body that is sent: the content (RFC 8785) with its signature as the last member."""
    return content[:-1] + b',"signature":"' + _signature(content, secret) + b'"}'


def signature_header(body: bytes, message_id: str, seconds: int, secrets: Sequence[str]) -> str:
    """`webhook-signature`: one for each secret, the current one first."""
    return " ".join(f"v1,{_standard(body, message_id, seconds, secret)}" for secret in secrets)


def verify_body(body: bytes, secret: str) -> bytes:
    """The content of a body that was signed with the secret."""
    content = body[:-TAIL_BYTES] + b"}"
    if len(body) <= TAIL_BYTES or not body[-TAIL_BYTES:].startswith(b',"signature":"sha256='):
        raise NotSigned('The body does not end with the member "signature".')
    if not hmac.compare_digest(signed_body(content, secret), body):
        raise NotSigned("The signature in the body does not match: another secret, or the body was changed.")
    return content


def verify_header(body: bytes, message_id: str, timestamp: str, header: str, secret: str, now: int) -> None:
    """Holds a request to its headers `webhook-id`, `webhook-timestamp` and `webhook-signature`."""
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise NotSigned(f"webhook-timestamp is {timestamp!r}: it must be a number of seconds.")
    seconds = int(timestamp)
    if abs(now - seconds) > SECONDS_OF_TOLERANCE:
        raise NotSigned(f"webhook-timestamp is {abs(now - seconds)} seconds away from now: check both clocks.")
    expected = f"v1,{_standard(body, message_id, seconds, secret)}".encode()
    if not any(hmac.compare_digest(expected, given.encode()) for given in header.split(" ")):
        raise NotSigned("No signature in webhook-signature matches: another secret, or the request was changed.")


def check_secret(secret: str) -> None:
    """Raises NotSigned for a text that is no secret of an endpoint."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not key:
        raise NotSigned(f"The secret is not one of an endpoint: it must be {PREFIX} and base64.")


def _signature(content: bytes, secret: str) -> bytes:
    return b"sha256=" + hmac.digest(secret.encode(), content, "sha256").hex().encode()


def _standard(body: bytes, message_id: str, seconds: int, secret: str) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, f"{message_id}.{seconds}.".encode() + body, "sha256")).decode()
