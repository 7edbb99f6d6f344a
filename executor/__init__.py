"""Compiled operations: a validated GraphQL operation becomes Python functions, once; docs/executor.md shows one.

It knows graphql-core alone, and gives what graphql-core would give. Read `compiled.py` first.
"""

from executor.compiled import Compiled, PlainResult, compile_operation
from executor.pieces import Unsupported
from executor.promises import PROMISE, Calls, Columns, Gathers, Reads, TellsType

__all__ = [
    "PROMISE",
    "Calls",
    "Columns",
    "Compiled",
    "Gathers",
    "PlainResult",
    "Reads",
    "TellsType",
    "Unsupported",
    "compile_operation",
]
