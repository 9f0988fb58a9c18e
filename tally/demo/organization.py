"""The teams of the demo organization, and their workloads."""

from typing import Literal, NamedTuple

NAME = "acme"

Kind = Literal["completion", "chat", "agent"]


class Workload(NamedTuple):
    """A feature of a team: the calls that it makes, and its sessions on a working day."""

    team: str
    project: str
    feature: str
    kind: Kind
    provider: str
    model: str
    sessions: int
    agent: str | None = None
    customers: bool = False
    by_night: bool = False
    since_days: int = 1000  # how many days before the end of history it was launched


class Outcome(NamedTuple):
    """What becomes known of a feature's work: the share of it that is judged, and the share of that which succeeds."""

    metric: str
    judged: float
    success: float


WORKLOADS = (
    Workload("engineering", "code-assist", "code-completion", "completion", "openai", "gpt-4.1-mini", 620),
    Workload("engineering", "code-assist", "code-review", "agent", "openai", "gpt-5", 30, agent="reviewer"),
    Workload("support", "help-desk", "triage", "completion", "google", "gemini-2.5-flash", 240, customers=True),
    Workload("support", "help-desk", "answer-drafts", "chat", "anthropic", "claude-haiku-4-5", 70, customers=True),
    Workload("search", "storefront", "query-rewrite", "completion", "openai", "gpt-5-mini", 330),
    Workload(
        "research", "market-watch", "deep-research", "agent", "anthropic", "claude-sonnet-4-5", 22, agent="researcher",
    ),
    Workload("sales", "proposals", "proposal-writer", "chat", "openai", "gpt-4o", 34),
    Workload(
        "finance", "reporting", "report-summaries", "completion", "mistral", "mistral-large-latest", 60, by_night=True,
    ),
    Workload(
        "search", "storefront", "shopping-agent", "agent", "google", "gemini-2.5-pro", 40,
        agent="shopper", customers=True, since_days=12,
    ),
    Workload("data", "forecasting", "labelling", "completion", "acme-host", "acme-tuned-7b", 70),
    Workload("data", "forecasting", "labelling-preview", "completion", "acme-host", "acme-preview", 6),
)  # fmt: skip

REASONING = frozenset(("gpt-5", "gpt-5-mini", "gemini-2.5-pro"))
FALLBACKS = {"claude-sonnet-4-5": ("openai", "gpt-5"), "claude-haiku-4-5": ("google", "gemini-2.5-flash")}
TOOLS = ("search", "read_file", "run_tests", "fetch_page", "list_orders", "query_stock")
REGIONS = {"openai": "eastus2", "anthropic": "eu-west-1", "google": "europe-west4", "mistral": "eu-west-3"}
SERVICE_TIERS = {"query-rewrite": "priority"}
"""What somebody waits for: OpenAI answers sooner, for more."""
SURFACES = {
    "code-completion": "editor", "code-review": "pull request", "triage": "inbox", "answer-drafts": "inbox",
    "query-rewrite": "web", "shopping-agent": "web", "proposal-writer": "documents",
}  # fmt: skip
"""The tag *surface* of a feature: where its users meet it."""
PLANS = ("free", "business", "enterprise")
"""The tag *plan* of a customer."""
OUTCOMES = {
    "code-completion": Outcome("accepted", 0.3, 0.34),
    "code-review": Outcome("completed", 0.9, 0.8),
    "answer-drafts": Outcome("resolved", 0.7, 0.62),
    "deep-research": Outcome("completed", 0.8, 0.7),
    "shopping-agent": Outcome("completed", 0.9, 0.12),
}
USERS, CUSTOMERS = 60, 30
OWN_KEY = "customer-7"
"""The customer with a provider key of their own: their usage is counted, and billed to nobody here."""

BUDGETS = (
    ("organization", NAME, "90", 24 * 3600),
    ("team", "research", "25", 24 * 3600),
    ("team", "engineering", "22", 24 * 3600),
    ("agent", "shopper", "4", 3600),
)
"""Dimension, scope, dollars, window in seconds."""

LATE_PRICE = """
name: acme-host
currency: USD
origin: the contract of the demo's private host
providers:
  - {id: acme-host, models: [{id: acme-tuned-7b, prices: [{rates: {input: 0.2, output: 0.8}}]}]}
"""
LATE_PRICE_DAYS = 9
"""Days before the end of history at which the price of the tuned model becomes known."""
