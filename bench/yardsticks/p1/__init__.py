"""P1: FastAPI, SQLAlchemy 2 and pydantic, written as their guides say."""
