"""The words in names of models and providers that rule R6 of docs/rules.md reads. Data only: the folds and the audit
read names each by their own code."""

GATEWAYS = frozenset((
    "litellm", "litellm_proxy", "litellm-proxy", "vercel", "vercel_ai_gateway", "vercel-ai-gateway", "gateway",
    "ai-gateway", "ai_gateway", "portkey", "helicone", "kong", "envoy", "bifrost", "requesty", "cloudflare-ai-gateway",
    "proxy", "custom", "other", "unknown",
))  # fmt: skip
"""Names of providers that only pass calls on, or say nothing: the model's name says who sold it."""

PATH_WORDS = frozenset(("models", "publishers"))
"""Parts of a model's path that name nobody."""

CLIENT_PROTOCOL = "openai"
"""The provider that instrumentations of OpenAI's client name, also where the client talks to a gateway."""

LOCAL_HOSTS = frozenset((
    "ollama", "ollama_chat", "vllm", "hosted_vllm", "lmstudio", "lm_studio", "lm-studio", "llama.cpp", "llama_cpp",
    "llama-cpp", "llamacpp", "llamafile", "llama-server", "mlx", "localhost", "local", "127", "0", "sglang", "tgi",
    "xinference", "localai", "gpt4all", "koboldcpp", "exllama", "exllamav2", "tabbyapi", "self-hosted", "self_hosted",
    "selfhosted",
))  # fmt: skip
"""Programs that serve models on hardware of one's own, and names of one's own machine: nobody sells tokens there."""

UNSOLD_RESOURCES = frozenset((
    "custom-model", "custom-model-deployment", "imported-model", "provisioned-model", "provisioned-model-throughput",
))  # fmt: skip
"""Parts of a path at Bedrock before an id, of a model that is not billed by tokens at the rates of its model."""

MODEL_RESOURCES = frozenset(("foundation-model", "inference-profile"))
"""Resources of an ARN that end in a model's name. All others end in an id that names no model."""

TUNED_MARKS = ("ft:", ".ft-")
"""Parts of a fine-tuned model's name. Its rates are not those of the model it comes from."""

OFFER_MARKS = (":free", ":thinking", ":nitro", ":floor", ":online", ":extended", ":exacto", ":beta", ":batch")
"""Ends of a model's name at OpenRouter that choose other hosts, other features or another price."""

REGIONS = ("us-gov", "us", "eu", "apac", "jp", "au", "ca", "sa", "me", "af", "global")
"""Where Bedrock's inference profiles route to: ``us.anthropic.claude-…``."""

MAX_PATH_PARTS = 12
"""Parts of the longest path of a model that is taken apart."""
