"""What every object with a typed id has in common."""

import strawberry


@strawberry.interface(description="An object with a globally unique id.")
class Node:
    id: strawberry.ID = strawberry.field(description="Typed and globally unique, such as `inv_1234`.")
