"""`python -m arcbilling` is the console script `arcbilling`."""

from arcbilling.cli import main

if __name__ == "__main__":
    main()
