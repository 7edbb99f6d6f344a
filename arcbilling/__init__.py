"""ArcBilling: the billing and support core for hosting companies.

The domain lives in the top-level packages `schema`, `executor`, `resolvers`, `models` and `rest_compat`. Names as
common as these must not reach site-packages, so the wheel carries them in the private folder `arcbilling/_app`;
importing `arcbilling` makes them importable, from there or from the checkout.
"""

import sys
from pathlib import Path

__version__ = "0.1.0"

_here = Path(__file__).resolve().parent
APP_DIR = _here / "_app" if (_here / "_app").is_dir() else _here.parent

if str(APP_DIR) not in sys.path:
    sys.path.insert(0, str(APP_DIR))
