"""Tables: columns, constraints, enums and migrations. No rules, no queries.

Each module holds the Tortoise models of one noun and, for each, the typed row that queries return.
"""

MODULES = (
    "models.clients",
    "models.products",
    "models.servers",
    "models.services",
    "models.module_calls",
    "models.invoices",
    "models.tickets",
    "models.api_keys",
    "models.events",
    "models.webhooks",
    "models.records",
    "models.installation",
)
"""Every module with models, for Tortoise and its migrations."""
