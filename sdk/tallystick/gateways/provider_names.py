"""Names by which gateways and instrumentations call a provider, and the one that price books know it by. Pure."""

from functools import lru_cache

PROVIDER_NAMES = {
    "anthropic": ("claude",),
    "aws": (
        "aws.bedrock", "aws_bedrock", "bedrock", "amazon-bedrock", "amazon_bedrock", "bedrock_converse", "sagemaker",
    ),
    "azure": (
        "azure.ai.openai", "az.ai.openai", "azure.ai.inference", "az.ai.inference", "azure_ai", "azure-openai",
        "azure_openai", "azure_text", "azure-ai-inference",
    ),
    "cohere": ("cohere_chat", "cohere.chat"),
    "fireworks": ("fireworks_ai", "fireworks-ai"),
    "google": (
        "gcp.gemini", "gcp.gen_ai", "gcp.vertex_ai", "gemini", "google_genai", "google-genai", "google-gla",
        "google-vertex", "google_vertexai", "google.generative-ai", "google.vertex", "vertex_ai", "vertex_ai_beta",
        "vertexai", "palm",
    ),
    "mistral": ("mistral_ai", "mistralai", "mistral-ai"),
    "moonshotai": ("moonshot", "moonshot_ai"),
    "openai": ("text-completion-openai", "openai-compatible", "openai_like", "custom_openai"),
    "perplexity": ("perplexity-ai",),
    "together": ("together_ai", "togetherai", "together-ai"),
    "x-ai": ("xai", "x_ai"),
    "zai": ("z_ai", "z-ai"),
}  # fmt: skip
"""OpenTelemetry's ``gen_ai.provider.name`` and ``gen_ai.system``, OpenInference's ``llm.provider``, LiteLLM's
``custom_llm_provider``, the Vercel AI SDK's ``ai.model.provider`` and pydantic-ai's systems. Rule R6 of
docs/rules.md reads this table too: a change of it is a change of the folds."""

_NAME_BY_ALIAS = {alias: name for name, aliases in PROVIDER_NAMES.items() for alias in (name, *aliases)}

_HOSTS = {
    "api.x.ai": "x-ai", "openrouter.ai": "openrouter", "api.deepseek.com": "deepseek", "api.groq.com": "groq",
    "api.mistral.ai": "mistral", "moonshot.ai": "moonshotai", "moonshot.cn": "moonshotai",
    "generativelanguage.googleapis.com": "google", "aiplatform.googleapis.com": "google",
    "openai.azure.com": "azure", "cognitiveservices.azure.com": "azure", "services.ai.azure.com": "azure",
    "api.together.xyz": "together", "api.fireworks.ai": "fireworks", "api.perplexity.ai": "perplexity",
    "api.cerebras.ai": "cerebras", "api.z.ai": "zai", "api.anthropic.com": "anthropic",
}  # fmt: skip
"""Hosts that answer in OpenAI's form, so that an instrumentation of OpenAI's client calls them ``openai``."""


MAX_NAME_LENGTH = 256
"""Characters of the longest name, and of the longest host, that is looked up."""


def normalize_provider(name: str, host: str | None = None) -> str:
    """Return the provider's name in price books. A client of OpenAI that talks to another ``host`` means that one's;
    a name that is not known stays as it is, and so does what a suffix names (``openai.chat``) otherwise."""
    if len(name) > MAX_NAME_LENGTH or len(host or "") > MAX_NAME_LENGTH:
        return name
    return _normalize(name, host)


@lru_cache(maxsize=4096)
def _normalize(name: str, host: str | None) -> str:
    lower = name.strip().lower()
    provider = _NAME_BY_ALIAS.get(lower) or _NAME_BY_ALIAS.get(lower.rpartition(".")[0])
    if provider is None:
        provider = _NAME_BY_ALIAS.get(lower.partition(".")[0])
    if provider == "openai" and host:
        return find_provider_of_host(host) or provider
    return provider or name


def find_provider_of_host(host: str) -> str | None:
    """Return the provider whose API a host is, in the form of a host or of a URL; None for a host that is not known."""
    bare = host.lower().partition("://")[2] or host.lower()
    bare = bare.partition("/")[0].rpartition("@")[2].partition(":")[0]
    parts = bare.split(".")
    suffixes = (".".join(parts[start:]) for start in range(len(parts)))
    return next((_HOSTS[suffix] for suffix in suffixes if suffix in _HOSTS), None)
