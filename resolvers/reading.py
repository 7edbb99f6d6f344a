"""Reading: which columns of a table are read, and what becomes of what the engine stores.

A whole row has every column, each as the type that the row says. Where it is known what is told of rows, only those
columns are read, and only made into what an answer tells: that is as fast as hand-written code.
"""

from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

from resolvers.database import Database

R = TypeVar("R", bound=tuple[Any, ...])

Columns = tuple[str, ...] | None
"""Which columns are read, by name; None for all."""

MOST_KEPT = 100
"""Callers choose which columns of a table are told: so many choices are kept."""

Form = Callable[[Any], Any]
"""Makes a value of what the engine stores, unless that is null."""


_rows_of: Any = namedtuple
"""Makes a class of rows whose columns are known only as they are asked for."""


class Reading(Generic[R]):
    """Some columns of a table."""

    def __init__(self, table: str, row: type[R], forms: Sequence[Form | None]) -> None:
        names: tuple[str, ...] = row._fields  # type: ignore[attr-defined]
        self.columns = ", ".join(names)
        self.select = f"SELECT {self.columns} FROM {table}"
        self._forms = [(place, form) for place, form in enumerate(forms) if form is not None]
        self._make = partial(tuple.__new__, row)

    def rows(self, stored: Sequence[Sequence[Any]]) -> list[R]:
        """Rows of what the engine has given."""
        values: Iterable[Iterable[Any]] = stored
        if self._forms and stored:
            cells: list[Sequence[Any]] = list(zip(*stored, strict=True))  # column by column is faster than by cell
            for place, form in self._forms:
                cells[place] = [None if value is None else form(value) for value in cells[place]]
            values = zip(*cells, strict=True)
        return list(map(self._make, values))


class Readings(Generic[R]):
    """The readings of one table, each made once for an engine."""

    def __init__(self, table: str, row: type[R], types: Mapping[str, Any]) -> None:
        self._table = table
        self._row = row
        self._types = types
        self._whole: dict[type[Database], Reading[R]] = {}
        self._told: OrderedDict[tuple[type[Database], tuple[str, ...]], Reading[R]] = OrderedDict()

    def whole(self, database: Database) -> Reading[R]:
        """Of whole rows."""
        engine = type(database)
        if engine not in self._whole:
            forms = [database.decoder(type_) for type_ in self._types.values()]
            self._whole[engine] = Reading(self._table, self._row, forms)
        return self._whole[engine]

    def told(self, database: Database, columns: tuple[str, ...]) -> Reading[R]:
        """Of some columns, as answers tell them; those that are named twice are read once."""
        key = type(database), columns
        reading = self._told.get(key)
        if reading is None:
            names = tuple(dict.fromkeys(columns))
            row = _rows_of("Told", names)
            reading = self._told[key] = Reading(
                self._table, row, [database.teller(self._types[name]) for name in names]
            )
            if len(self._told) > MOST_KEPT:
                self._told.popitem(last=False)
        return reading
