"""Departments: who answers tickets."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import strawberry

from arcbilling import clock
from models.tickets import DepartmentRow
from resolvers.filters import EVERYTHING, Where
from resolvers.tickets import departments
from schema.actors import Scope
from schema.checks import NEVER_NULL
from schema.connections import lists
from schema.context import Context
from schema.errors import not_found
from schema.fields import command, id_argument, identifier, member, members_given, plain, query
from schema.ids import Kind
from schema.moments import Since, Until
from schema.nodes import Node

DepartmentId = Annotated[int, *id_argument(Kind.DEPARTMENT)]


@strawberry.type(description="A part of the staff that tickets are addressed to.")
class Department(Node):
    id: strawberry.ID = identifier(Kind.DEPARTMENT, "`dep_1`.")
    name: str = plain("Name.")
    created_at: datetime = plain("When the department was created.", extra=True)
    updated_at: datetime = plain("When the department was last changed.", extra=True)


@strawberry.enum(description="The order of a list of departments.")
class DepartmentSort(StrEnum):
    ID = "id"
    ID_DESC = "id desc"
    CREATED_AT = "created_at"
    CREATED_AT_DESC = "created_at desc"


@strawberry.input(description="Which departments.")
class DepartmentFilter:
    created_from: Since = member("Created then or later: a time, or a date.", optional=True)
    created_to: Until = member("Created then or earlier: a time, or a date, that day included.", optional=True)


@strawberry.input(description="A new department.")
class DepartmentCreateInput:
    name: str = member("Name.")


@strawberry.input(description="Changes to a department: what is given is changed.")
class DepartmentUpdateInput:
    name: Annotated[str | None, NEVER_NULL] = member("Name.", optional=True)


@query(Department | None, requires=Scope.DEPARTMENTS_READ)
async def department(context: Context, id: DepartmentId) -> DepartmentRow:
    """One department."""
    return await departments.by_id(context.session, id) or _missing(id)


@lists(Department, departments, requires=Scope.DEPARTMENTS_READ, sort=DepartmentSort)
def departments_(filter: DepartmentFilter) -> Where:
    """The departments."""
    return EVERYTHING


@command(Department, requires=Scope.DEPARTMENTS_WRITE)
async def department_create(context: Context, input: DepartmentCreateInput) -> DepartmentRow:
    """Adds a department."""
    now = clock.now()
    return await departments.add(context.writing, DepartmentRow(0, input.name, 1, now, now))


@command(Department, requires=Scope.DEPARTMENTS_WRITE)
async def department_update(context: Context, id: DepartmentId, input: DepartmentUpdateInput) -> DepartmentRow:
    """Changes a department."""
    row = await departments.locked(context.writing, id) or _missing(id)
    after = row._replace(**members_given(input, "name"))
    return row if after == row else await departments.save(context.writing, row, after)


def _missing(id: int) -> Any:
    raise not_found("Department", id)
