"""Parts: the documents that are executed, each compiled once that is worth it."""

from collections import OrderedDict

import structlog
from graphql import DocumentNode, GraphQLSchema

from executor import Compiled, Unsupported, compile_operation
from schema import introspection

log = structlog.get_logger("arcbilling.compiling")

USES_BEFORE = 1
"""So often a caller's document is left to graphql-core, before it has shown that it comes again."""
MOST_FIELDS = 20_000
"""So many fields of callers' documents are kept compiled: some 10 MB."""


class Part:
    """A document with one operation that is executed as a whole: a query, or one root field of a mutation."""

    def __init__(
        self, document: DocumentNode, name: str | None, shelf: "Shelf | None" = None, *, is_plain: bool = False
    ) -> None:
        self.document = document
        self.name = name
        """The operation's; None where it has none."""
        self._shelf = shelf
        self._is_plain = is_plain
        self._compiled: Compiled | None = None
        self._uses_before = 0 if shelf is None else USES_BEFORE
        self._is_supported = True

    def compiled(self, schema: GraphQLSchema) -> Compiled | None:
        """The compiled operation, if there is one: what a caller sent is compiled when it comes for the second time."""
        if self._compiled is None:
            if self._uses_before or not self._is_supported:
                self._uses_before = max(0, self._uses_before - 1)
                return None
            try:
                self._compiled = compile_operation(
                    introspection.executable(schema), self.document, self.name, is_plain=self._is_plain
                )
            except Unsupported:
                self._is_supported = False
                return None
            except Exception as error:  # graphql-core can execute it all the same
                log.error("an operation could not be compiled", exc_info=error)
                self._is_supported = False
                return None
        if self._shelf is not None:
            self._shelf.used(self, self._compiled.fields)
        return self._compiled

    def forget(self) -> None:
        """Gives the memory back; on its second use from now it is compiled again."""
        self._compiled, self._uses_before = None, USES_BEFORE


class Shelf:
    """What callers' documents were compiled to, within bounds: the least lately used is forgotten."""

    def __init__(self, most_fields: int = MOST_FIELDS) -> None:
        self._most_fields = most_fields
        self._fields: OrderedDict[Part, int] = OrderedDict()
        self.fields = 0

    def used(self, part: Part, fields: int) -> None:
        """Puts a part first; it may have grown."""
        self.fields += fields - self._fields.pop(part, 0)
        self._fields[part] = fields
        while self.fields > self._most_fields and len(self._fields) > 1:
            oldest, its_fields = self._fields.popitem(last=False)
            self.fields -= its_fields
            oldest.forget()
