"""The pages of the app, in the order of its menu: the one list of their names, titles and files (pure)."""

from typing import NamedTuple


class Page(NamedTuple):
    """A page: its name in addresses and below ``dashboards/pages/``, its title, and whether the menu shows it."""

    name: str
    title: str
    is_in_menu: bool = True

    @property
    def module(self) -> str:
        """The module whose ``page()`` draws it."""
        return f"dashboards.pages.{self.name}.page"

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
    Page("runaways", "Runaways"),
    Page("trees", "Call trees"),
    Page("trust", "Trust"),
    Page("sql", "SQL"),
    Page("start", "Start here"),
    Page("call", "Call", is_in_menu=False),
)


def find_page(name: str) -> Page:
    """Return the page of a name. KeyError where none has it."""
    return _PAGES_BY_NAME[name]


_PAGES_BY_NAME = {page.name: page for page in PAGES}
