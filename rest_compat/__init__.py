"""The documented REST contract as a translation: each route is a GraphQL document, and nothing is decided here."""
