"""Errors for callers. One class, the six codes of the API reference, and a sentence that says what is wrong."""

from collections.abc import Mapping
from enum import StrEnum


class Code(StrEnum):
    VALIDATION_ERROR = "VALIDATION_ERROR"
    UNAUTHORIZED = "UNAUTHORIZED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    RATE_LIMITED = "RATE_LIMITED"
    INTERNAL_ERROR = "INTERNAL_ERROR"


STATUS = {
    Code.VALIDATION_ERROR: 400,
    Code.UNAUTHORIZED: 401,
    Code.FORBIDDEN: 403,
    Code.NOT_FOUND: 404,
    Code.RATE_LIMITED: 429,
    Code.INTERNAL_ERROR: 500,
}


class DomainError(Exception):
    """What a caller did wrong, or may not do, or what is wrong here.

    `fields` maps members (snake_case paths such as `items[0].amount`) to sentences. `status` overrides the HTTP status
    of the code where HTTP has a closer one.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        fields: Mapping[str, str] | None = None,
        reason: str | None = None,
        allowed_actions: tuple[str, ...] | None = None,
        status: int | None = None,
        retry_after: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = dict(fields or {})
        self.reason = reason
        self.allowed_actions = allowed_actions
        self.status = status or STATUS[code]
        self.retry_after = retry_after
        self.headers = dict(headers or {})


def invalid(field: str, reason: str) -> DomainError:
    """One member is wrong: `invalid("email", "must be …")`."""
    return invalid_fields({field: sentence(field, reason)})


def invalid_fields(fields: Mapping[str, str]) -> DomainError:
    """Some members are wrong; the first sentence is the message."""
    return DomainError(Code.VALIDATION_ERROR, next(iter(fields.values())), fields=fields)


def refused(message: str) -> DomainError:
    """A rule forbids it."""
    return DomainError(Code.VALIDATION_ERROR, message)


def invalid_transition(message: str, allowed_actions: tuple[str, ...]) -> DomainError:
    """The object's status forbids it."""
    return DomainError(Code.VALIDATION_ERROR, message, reason="INVALID_TRANSITION", allowed_actions=allowed_actions)


def cursor_expired(message: str) -> DomainError:
    """What is asked for begins where nothing is kept any more."""
    return DomainError(Code.VALIDATION_ERROR, message, fields={"after": message}, reason="CURSOR_EXPIRED")


def not_found(noun: str, id: object) -> DomainError:
    return DomainError(Code.NOT_FOUND, f"{noun} {id} does not exist.")


def unauthorized() -> DomainError:
    """One answer for a missing, malformed, unknown, expired and revoked key."""
    return DomainError(
        Code.UNAUTHORIZED,
        "A valid API key is required: send it as 'Authorization: Bearer YOUR_API_KEY'.",
        headers={"WWW-Authenticate": "Bearer"},
    )


def forbidden(message: str) -> DomainError:
    return DomainError(Code.FORBIDDEN, message)


def unavailable() -> DomainError:
    return DomainError(
        Code.INTERNAL_ERROR,
        "The service cannot do this at the moment. Please try again.",
        status=503,
        retry_after=2,
    )


def internal() -> DomainError:
    return DomainError(Code.INTERNAL_ERROR, "Something went wrong on our side.")


def sentence(field: str, reason: str) -> str:
    """The contract's form: "The first name field is required."."""
    name = field.rpartition(".")[2]
    return f"The {name.replace('_', ' ')} field {reason}."
