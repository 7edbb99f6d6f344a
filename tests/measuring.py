"""The schema that the tests of limits measure documents of, and how they do."""

import pytest
from graphql import (
    DocumentNode,
    GraphQLSchema,
    OperationDefinitionNode,
    build_schema,
)

from schema import limits
from schema.limits import LimitError, Measure

SCHEMA = build_schema("""
    type Query {
      node(id: ID): Node
      client(id: ID): Client
      clients(first: Int = 25, last: Int, after: String): Clients!
      invoices(first: Int): Invoices!
      newest(last: Int = 3): Invoices!
    }
    type Mutation { clientDelete(id: ID!): Client clientCreate: Client }
    interface Node { id: ID! }
    type Client implements Node { id: ID! name: String invoices(first: Int = 10): Invoices! tags: [String!]! }
    type Invoice implements Node { id: ID! total: String client: Client! items: [Item!]! }
    type Item { amount: String }
    type Clients { nodes: [Client!]! totalCount: Int! }
    type Invoices { nodes: [Invoice!]! totalCount: Int! }
    union Owner = Client
""")


def operations(document: DocumentNode) -> list[OperationDefinitionNode]:
    return [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]


def measured(text: str, variables: dict[str, object] | None = None, schema: GraphQLSchema = SCHEMA) -> Measure:
    document = limits.parse(text)
    return limits.measure(schema, document, operations(document)[0], variables)


def refusal(text: str, variables: dict[str, object] | None = None) -> str:
    with pytest.raises(LimitError) as caught:
        measured(text, variables)
    return str(caught.value)


def nested(levels: int) -> str:
    return "{ node " * levels + "}" * levels


def doubling(fragments: int) -> str:
    """The query of finding F1: each fragment spreads the next twice."""
    links = " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(fragments - 1))
    return f"{{ ...F0 }} {links} fragment F{fragments - 1} on Query {{ node {{ id }} }}"
