"""The product as its users run it, but for what a hash of a password costs: `python -m bench.ours serve`."""

from arcbilling.cli import main
from bench.yardsticks.passwords import CHEAP
from schema import clients

if __name__ == "__main__":
    clients._hasher = CHEAP
    main()
