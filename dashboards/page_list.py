"""The pages of the app, in the order of its menu: the one list of their names, titles and files (pure)."""

from typing import NamedTuple


class Page(NamedTuple):
    """A page: its name in addresses, its title, whether the menu shows it, and its folder below ``dashboards/pages/``
    where that is not its name."""

    name: str
    title: str
    is_in_menu: bool = True
    folder: str = ""

    @property
    def module(self) -> str:
        """The module whose ``page()`` draws it."""
        return f"dashboards.pages.{self.folder or self.name}.page"

    @property
    def path(self) -> str:
        """Its path in addresses. The first page stands at the root."""
        return "" if self is PAGES[0] else self.name

    @property
    def link(self) -> str:
        """The target of a relative link to it."""
        return self.path or "./"


PAGES = (
    Page("overview", "Overview"),
    Page("explore", "Explore"),
    Page("budgets", "Budgets"),
    Page("incidents", "Incidents"),
    Page("trees", "Call trees"),
    Page("trust", "Trust"),
    Page("sql", "SQL"),
    Page("start", "Start here"),
    Page("call", "Call", is_in_menu=False),
)

FORMER_PAGES = (Page("runaways", "Incidents", is_in_menu=False, folder="incidents"),)
"""Names that pages had, which old links have."""


def find_page(name: str) -> Page:
    """Return the page of a name. KeyError where none has it."""
    return _PAGES_BY_NAME[name]


_PAGES_BY_NAME = {page.name: page for page in PAGES}
