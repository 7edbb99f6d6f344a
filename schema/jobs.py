"""Jobs: what the system does by itself, in units of work as commands are, and yet no part of the public schema."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from resolvers import unit_of_work
from resolvers.unit_of_work import Outcome, Unit
from schema.context import Context

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Job:
    """A job as it was declared."""

    name: str
    emits: tuple[type, ...]


JOBS: dict[str, Job] = {}


def job(
    name: str, *, emits: tuple[type, ...] = ()
) -> Callable[[Callable[Concatenate[Context, P], Awaitable[R]]], Callable[Concatenate[Context, P], Awaitable[R]]]:
    """Declares a job: a function that is one transaction with its audit entry and its events, each time it is called.

    The name is what the audit trail calls it.
    """

    def declare(
        function: Callable[Concatenate[Context, P], Awaitable[R]],
    ) -> Callable[Concatenate[Context, P], Awaitable[R]]:
        @wraps(function)
        async def run(context: Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
            async def work(unit: Unit) -> Outcome[R]:
                await unit.begin(name)
                return Outcome(await function(context.within(unit), *args, **kwargs), keep=True)

            return await unit_of_work.run(context.new_unit, work)

        assert name not in JOBS, f"{name} is declared twice"
        JOBS[name] = Job(name, emits)
        return run

    return declare
