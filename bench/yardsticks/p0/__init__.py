"""P0: hand-written ASGI, the driver itself and orjson. What Python can do at best."""
