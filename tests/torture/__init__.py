"""The proof that nothing is lost: servers that are killed amid their work, and accounts of what became of it."""
