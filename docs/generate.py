"""The pages that are made from the code. A test holds them to it.

python docs/generate.py     writes them
"""

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from arcbilling import settings  # noqa: E402
from rest_compat.plans import compile_plans  # noqa: E402
from schema import attempts  # noqa: E402
from schema.events import CATALOGUE  # noqa: E402
from schema.fields import COMMANDS  # noqa: E402
from schema.jobs import JOBS  # noqa: E402
from schema.root import build  # noqa: E402

Rows = list[tuple[str, ...]]
ANSWERS = JOBS[attempts.END].emits

NOTE = "<!-- Made from the code by docs/generate.py: edit that, or the code. -->\n"


def settings_page() -> str:
    rows: Rows = [
        (f"`{name}`", f"`{default}`" if default else "", meaning) for name, default, meaning in settings.table()
    ]
    return f"""# Settings

{NOTE}
Settings are environment variables. A flag of the command line (`--host`, `--port`) wins over the environment, and that
over the default. A name that starts with `{settings.PREFIX}` and is not in this table is warned of and ignored; a value
that cannot be used stops the start with a sentence.

{_table(("name", "default", "meaning"), rows)}"""


def reference_page() -> str:
    return f"""# Routes, documents, scopes, events

{NOTE}
[rest.md](rest.md) and [graphql.md](graphql.md) are the guides; a running server describes each member of each route at
`/docs`, and `./run schema print` each field of the schema.

## Routes

Below `/api/v1`. Each is a GraphQL document in `rest_compat/documents/`, whose one root field does the work and requires
the scope. A key with `noun:write` has `noun:read` too, `*` has every scope. The last column says whether a key that is
bound to a client is let in, for what is that client's. Routes without a tick are additions to the API reference.

{_table(("route", "reference", "document", "root field", "scope", "client keys"), _routes())}
## Mutations

{_table(("mutation", "scope", "client keys", "events"), _mutations())}
## Events

Each accepted change has exactly the events that its mutation lists above, in its own transaction. They are numbered
after the commit; `data` is the object as REST lists show it, frozen at that moment. Events without a tick are additions
to the API reference.

{_table(("event", "reference", "when", "told by"), _events())}"""


def _routes() -> Rows:
    rows: Rows = []
    for plan in compile_plans(build()):
        route, policy = plan.route, plan.root.requires
        assert policy is not None
        rows.append(
            (
                f"`{route.method} {route.path}`",
                _tick(route.documented),
                f"`{route.document}`",
                f"`{plan.root.name}`",
                f"`{policy}`",
                "yes" if policy.open_to_clients else "no",
            )
        )
    return rows


def _mutations() -> Rows:
    rows: Rows = []
    for name, root in sorted(COMMANDS.items()):
        assert root.requires is not None
        events = ", ".join(f"`{event.name}`" for event in root.emits)  # type: ignore[attr-defined]
        rows.append((f"`{name}`", f"`{root.requires}`", "yes" if root.requires.open_to_clients else "no", events))
    return rows


def _events() -> Rows:
    rows: Rows = []
    for name, event in CATALOGUE.items():
        told = ", ".join(f"`{command}`" for command, root in sorted(COMMANDS.items()) if event in root.emits)
        if event in ANSWERS:
            told += ", a module's answer"
        rows.append((f"`{name}`", _tick(event.documented), event.trigger, told))
    return rows


def _tick(documented: bool) -> str:
    return "✓" if documented else ""


def _table(head: tuple[str, ...], rows: Rows) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


PAGES: dict[str, Callable[[], str]] = {"settings.md": settings_page, "reference.md": reference_page}
FOLDER = ROOT / "docs"


def main() -> None:
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
