"""Two servers to measure the product by: P0, hand-written, and P1, as most would write it today.

Both work on the product's own database and data, know its API keys, and answer five routes byte for byte as it does.
"""
