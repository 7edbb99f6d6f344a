"""Every query, each with the caller's row scope; the unit of work; the outbox. No rule of the domain stands here."""
