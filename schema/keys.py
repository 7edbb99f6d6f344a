"""The form of API keys: a prefix, 190 random bits and a checksum, so that a mistyped key is known without a look-up.

And that of the secrets that webhooks are signed with, which are those of Standard Webhooks.
"""

import base64
import hashlib
import re
import secrets
import string
import zlib

PREFIX = "arcb_live_"
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM, _CHECK = 32, 6
SECRET_PREFIX = "whsec_"
_SECRET_BYTES = 32
_FORM = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{_RANDOM}}})([0-9A-Za-z]{{{_CHECK}}})", re.ASCII)


def new_key() -> str:
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return PREFIX + body + _checksum(body)


def new_secret() -> str:
    """What a webhook is signed with."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def is_well_formed(key: str) -> bool:
    form = _FORM.fullmatch(key)
    return form is not None and _checksum(form[1]) == form[2]


def digest(key: str) -> str:
    """What is stored. The key has 190 random bits, so a fast hash is the right one."""
    return hashlib.sha256(key.encode()).hexdigest()


def hint(key: str) -> str:
    """What people tell keys apart by."""
    return f"{PREFIX}…{key[-4:]}"


def _checksum(body: str) -> str:
    number, text = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        number, digit = divmod(number, len(_ALPHABET))
        text = _ALPHABET[digit] + text
    return text
