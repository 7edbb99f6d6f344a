"""The server's secret: seals what must be read again, and fingerprints what must only be compared."""

import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_NONCE_BYTES = 12


class SealError(Exception):
    """Sealed data could not be opened: another secret sealed it, or it was changed."""


class Vault:
    """Seals with AES-256-GCM under a key derived from the server's secret; the purpose is bound to each value."""

    def __init__(self, secret: str) -> None:
        self._cipher = AESGCM(_derive(secret, "seal"))
        self._fingerprint_key = _derive(secret, "fingerprint")

    def seal(self, plain: bytes, purpose: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        nonce, box = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, box, purpose.encode())
        except InvalidTag as error:
            raise SealError(
                f"The {purpose} could not be unsealed: the server's secret is not the one it was sealed with."
            ) from error

    def fingerprint(self, *parts: bytes) -> str:
        """A keyed digest of the parts, for comparison only."""
        digest = hmac.new(self._fingerprint_key, digestmod=hashlib.sha256)
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()


def _derive(secret: str, purpose: str) -> bytes:
    return hmac.digest(secret.encode(), f"arcbilling/{purpose}".encode(), "sha256")


def read_or_create_secret(path: Path) -> str:
    """The secret in the file, made on first use with mode 0600; safe when several processes start at once."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".secret-")
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48) + "\n")
        try:
            os.link(draft, path)  # fails if another process was first; then its secret is the one
        except FileExistsError:
            pass
        finally:
            os.unlink(draft)
    return path.read_text().strip()
