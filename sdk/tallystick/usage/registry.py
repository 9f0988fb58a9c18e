"""The forms of usage that can be read, the most telling first, and the names by which each can be asked for (pure)."""

from functools import cache

from tallystick.usage.form import Form
from tallystick.usage.forms import (
    anthropic_messages,
    bedrock_converse,
    bedrock_invoke,
    cohere,
    gemini,
    gemini_interactions,
    langchain,
    mistral_ocr,
    ollama,
    openai_chat,
    openai_embeddings,
    openai_images,
    openai_realtime,
    openai_responses,
    openai_transcription,
    pydantic_ai,
    vercel_ai,
)

FORMS: tuple[Form, ...] = (
    openai_transcription.FORM, openai_embeddings.FORM, openai_chat.FORM, cohere.FORM, bedrock_invoke.FORM, gemini.FORM,
    vercel_ai.FORM, bedrock_converse.FORM, pydantic_ai.FORM, openai_images.FORM, openai_realtime.FORM, langchain.FORM,
    openai_responses.FORM, anthropic_messages.FORM, mistral_ocr.FORM, gemini_interactions.FORM, ollama.FORM,
)  # fmt: skip
"""In the order in which a block is offered to them: a form stands before those whose names are a part of its own."""

ANY = tuple(form.name for form in FORMS)
CHAT = ("openai_chat", "openai_embeddings")
NAMES: dict[str, tuple[str, ...]] = {form.name: (form.name,) for form in FORMS} | {
    "openai_chat": CHAT, "azure_openai": CHAT, "mistral": (*CHAT, "mistral_ocr"), "xai": (*CHAT, "openai_responses"),
    "deepseek": CHAT, "groq": (*CHAT, "openai_responses"), "moonshot": CHAT, "vllm": (*CHAT, "openai_responses"),
    "openrouter": (*CHAT, "openai_responses"), "gemini_openai": CHAT,
    "vertex": ("gemini", "gemini_interactions", "anthropic_messages"),
    "openai_batch": (*CHAT, "openai_images", "openai_responses"),
    "openai_transcription": ("openai_transcription", "openai_realtime"),
    "openai_realtime": ("openai_transcription", "openai_realtime", "openai_responses"),
    "openai_responses": ("openai_images", "openai_responses"),
    "bedrock_invoke": ANY, "langchain": ANY, "litellm": ANY, "vercel_ai": ANY, "pydantic_ai": ANY,
}  # fmt: skip
"""Names of forms, hosts and libraries, and the forms that their payloads have. Libraries carry any."""


def list_forms() -> tuple[str, ...]:
    """List the names that ``read_fields(response, form=…)`` takes."""
    return tuple(sorted(NAMES))


@cache
def find_forms(name: str | None) -> tuple[Form, ...]:
    """Return the forms of a name; all for None. ValueError where there is no such name."""
    if name is None:
        return FORMS
    if name not in NAMES:
        raise ValueError(f"no form of usage is named {name!r}: use one of {', '.join(list_forms())}")
    return tuple(form for form in FORMS if form.name in NAMES[name])
