#!/bin/sh
# A receiver for the shell: the body at standard input, the secret in WEBHOOK_SECRET; exit 0 if it is signed, else 1.
# Whoever may list the processes of this machine sees the secret while openssl runs: use it where nobody else works.
set -eu
: "${WEBHOOK_SECRET:?is not set: without it anybody could sign}"
body=$(mktemp)
trap 'rm -f "$body"' EXIT
cat >"$body"
size=$(wc -c <"$body")
[ "$size" -gt 87 ] || exit 1

# The signature is the last member, so the body ends in 87 bytes that are made of all before them.
signature=$({ head -c $((size - 87)) "$body"; printf '}'; } |
    openssl dgst -sha256 -mac HMAC -macopt "key:$WEBHOOK_SECRET" | sed 's/.* //')

# Digests of both are compared, so that how long it takes tells nothing of the signature.
expected=$(printf ',"signature":"sha256=%s"}' "$signature" | openssl dgst -sha256)
given=$(tail -c 87 "$body" | openssl dgst -sha256)
[ "$expected" = "$given" ] || exit 1
cat "$body" # to whatever works on it; keep the header webhook-id, since the same message may come twice
