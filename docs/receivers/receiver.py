"""A receiver in Python, with the standard library alone: `WEBHOOK_SECRET=whsec_… python receiver.py 8080`."""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = os.environ.get("WEBHOOK_SECRET", "")
if not SECRET.startswith("whsec_"):
    sys.exit("WEBHOOK_SECRET is not set: without it anybody could sign.")
seen: set[str] = set()  # in earnest a table with a unique column, written in the transaction that does the work


def is_signed(body: bytes) -> bool:
    """The signature is the last member, so the body ends in 87 bytes that are made of all before them."""
    signature = hmac.new(SECRET.encode(), body[:-87] + b"}", hashlib.sha256).hexdigest()
    return hmac.compare_digest(body[-87:], b',"signature":"sha256=%s"}' % signature.encode())


def is_signed_by_standard_webhooks(body: bytes, headers: dict[str, str]) -> bool:
    """The same for the headers: they hold the moment as well, so that nobody can send an old message again."""
    sent_at = headers.get("webhook-timestamp", "")
    if not sent_at.isdigit() or abs(time.time() - int(sent_at)) > 300:
        return False
    signed = f"{headers.get('webhook-id')}.{sent_at}.".encode() + body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    given = headers.get("webhook-signature", "").encode().split(b" ")  # two for a day after the secret was rotated
    return any(hmac.compare_digest(expected, one) for one in given)


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if not is_signed(body) or not is_signed_by_standard_webhooks(body, headers):
            return self.answer(401)
        if headers["webhook-id"] not in seen:  # the same message may come twice
            seen.add(headers["webhook-id"])
            message = json.loads(body)
            print(message["event"], message["data"]["id"], flush=True)
        return self.answer(204)  # quickly: what takes long is better queued

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
