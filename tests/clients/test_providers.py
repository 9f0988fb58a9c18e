"""Responses and streams of the providers' own clients, synchronous and asynchronous."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

import anthropic
import openai
import pytest
import stub_provider as stub
from google import genai
from google.genai import types

MESSAGES: list[Any] = [{"role": "user", "content": "QZXMARKED prompt"}]
Recorded = Callable[[], list[dict[str, Any]]]


def check(data: dict[str, Any], tokens: dict[str, int], model: str) -> None:
    assert data["usage_source"] == "reported" and data["tokens"] == tokens
    assert data["model_resolved"] == model


async def collect(stream: Awaitable[AsyncIterator[Any]]) -> list[Any]:
    return [chunk async for chunk in await stream]


def list_openai_chats(url: str) -> Iterable[Any]:
    arguments: dict[str, Any] = {"model": "gpt-5", "messages": MESSAGES}
    streamed = arguments | {"stream": True, "stream_options": {"include_usage": True}}
    client = openai.OpenAI(api_key="sk-none", base_url=f"{url}/v1")
    yield client.chat.completions.create(**arguments)
    yield list(client.chat.completions.create(**streamed))

    async def run() -> list[Any]:
        async with openai.AsyncOpenAI(api_key="sk-none", base_url=f"{url}/v1") as client:
            return [
                await client.chat.completions.create(**arguments),
                await collect(client.chat.completions.create(**streamed)),
            ]

    yield from asyncio.run(run())


def list_openai_responses(url: str) -> Iterable[Any]:
    client = openai.OpenAI(api_key="sk-none", base_url=f"{url}/v1")
    arguments: dict[str, Any] = {"model": "gpt-5", "input": "QZXMARKED prompt"}
    yield client.responses.create(**arguments)
    yield list(client.responses.create(**arguments, stream=True))
    yield list(client.responses.create(**arguments, stream=True))[-1]


def list_anthropic_messages(url: str) -> Iterable[Any]:
    arguments: dict[str, Any] = {"model": "claude-sonnet-4-5", "messages": MESSAGES, "max_tokens": 100}
    client = anthropic.Anthropic(api_key="none", base_url=url)
    yield client.messages.create(**arguments)
    yield list(client.messages.create(**arguments, stream=True))
    with client.messages.stream(**arguments) as stream:
        yield stream.get_final_message()

    async def run() -> list[Any]:
        async with anthropic.AsyncAnthropic(api_key="none", base_url=url) as client:
            return [
                await client.messages.create(**arguments),
                await collect(client.messages.create(**arguments, stream=True)),
            ]

    yield from asyncio.run(run())


def list_gemini_contents(url: str) -> Iterable[Any]:
    arguments: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "QZXMARKED prompt"}
    client = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=url))
    yield client.models.generate_content(**arguments)
    yield list(client.models.generate_content_stream(**arguments))

    async def run() -> list[Any]:
        models = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=url)).aio.models
        return [await models.generate_content(**arguments), await collect(models.generate_content_stream(**arguments))]

    yield from asyncio.run(run())


CASES = [
    (list_openai_chats, stub.CHAT_TOKENS, "gpt-5-2025-08-07"),
    (list_openai_responses, stub.RESPONSES_TOKENS, "gpt-5-2025-08-07"),
    (list_anthropic_messages, stub.ANTHROPIC_TOKENS, "claude-sonnet-4-5-20250929"),
    (list_gemini_contents, stub.GEMINI_TOKENS, "gemini-2.5-flash"),
]


@pytest.mark.parametrize(("list_objects", "tokens", "model"), CASES)
def test_responses_and_streams_give_the_classes(
    provider: str, client: Any, recorded: Recorded, list_objects: Any, tokens: dict[str, int], model: str
) -> None:
    objects = list(list_objects(provider))
    for item in objects:
        assert client.record(model=model, usage=item)
    events = recorded()
    assert len(events) == len(objects)
    for data in events:
        check(data, tokens, model)


@pytest.mark.parametrize(("list_objects", "tokens", "model"), CASES)
def test_a_call_takes_its_stream_chunk_by_chunk(
    provider: str, client: Any, recorded: Recorded, list_objects: Any, tokens: dict[str, int], model: str
) -> None:
    streams = [item for item in list_objects(provider) if isinstance(item, list)]
    for stream in streams:
        with client.call(model=model) as call:
            for chunk in stream:
                call.usage(chunk)
    events = recorded()
    assert len(events) == len(streams) > 0
    for data in events:
        check(data, tokens, model)


def test_embeddings(provider: str, client: Any, recorded: Recorded) -> None:
    openai_client = openai.OpenAI(api_key="sk-none", base_url=f"{provider}/v1")
    response = openai_client.embeddings.create(model="text-embedding-3-small", input="QZXMARKED")
    client.record(model="text-embedding-3-small", usage=response)
    (data,) = recorded()
    check(data, {"input": 8}, "text-embedding-3-small")
