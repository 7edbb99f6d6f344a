"""The benchmark: the product beside two yardsticks, in requests for each CPU-second of the server."""
