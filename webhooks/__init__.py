"""Webhooks: events are signed, and sent to the endpoints that want them, until each has arrived."""
