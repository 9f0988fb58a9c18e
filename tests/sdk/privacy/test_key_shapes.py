"""Keys and addresses in texts: what is one, what is none, and what stands there instead."""

import json
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tallystick.privacy.addresses import may_hold_address, replace_addresses
from tallystick.privacy.key_shapes import (
    FINGERPRINT,
    KEY_SHAPES,
    MAX_TEXT_LENGTH,
    fingerprint,
    key_fingerprint,
    may_hold_key,
    replace_keys,
)
from tallystick.vocabulary.event import ANY_EVENT

A = "Ab3dEf6hIj9lMn2pQr5tUv8xYz1Bc4Eg7Jk0"  # no key, and long enough to be a part of one
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIE" + A + "\n-----END RSA PRIVATE KEY-----"
KEYS: dict[str, list[str]] = {
    "PEM block": [PEM],
    "JSON Web Token": [f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{A}"],
    "kinds of sk- keys (OpenAI, Anthropic, OpenRouter, Langfuse)": [
        f"sk-proj-{A}", f"sk-ant-api03-{A}", f"sk-svcacct-{A}", f"sk-or-v1-{A}", "sk-proj-abcdefgh", f"sk-lf-{A}",
    ],
    "sk- without a kind (OpenAI, DeepSeek, Moonshot, DashScope, LiteLLM)": [f"sk-{A}", "sk-MARKEDkey-0123456789"],
    "Stripe, ElevenLabs": [f"sk_live_{A}", "sk_" + "0f" * 24],
    "AWS access key": ["AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"],
    "Amazon Bedrock": ["ABSK" + A * 3, f"bedrock-api-key-{A}"],
    "Google API key": ["AIza" + A[:35]],
    "Google OAuth and express keys": [f"ya29.{A}", f"GOCSPX-{A}", f"AQ.Ab{A}"],
    "Azure, with Microsoft's annotation": ["a" * 52 + "JQQJ99" + "BA" + "C" * 16 + "d" + "e" * 7],
    "Azure AD client secret": ["abc8Q~" + A[:32]],
    "Slack": ["xoxb-1234567890-1234567890-abcdef", f"xapp-1-{A}"],
    "Slack webhook": [],
    "GitHub": [f"ghp_{A}", f"github_pat_{A}"],
    "GitLab": ["glpat-" + A[:20]],
    "Hugging Face": [f"hf_{A[:34]}"],
    "Groq": [f"gsk_{A}"],
    "xAI": [f"xai-{A}"],
    "Perplexity": [f"pplx-{A}"],
    "NVIDIA": [f"nvapi-{A}"],
    "Cerebras": [f"csk-{A}"],
    "Replicate, Fireworks, Together, Tavily": [f"r8_{A}", f"fw_{A}", f"tgp_v1_{A}", f"tvly-{A}"],
    "Databricks": ["dapi" + "0a" * 16],
    "LangSmith, Pinecone": [f"lsv2_pt_{A}", f"pcsk_{A}"],
    "npm, PyPI, SendGrid, DigitalOcean, Vault": [
        f"npm_{A}", f"pypi-{A}{A}", f"SG.{A}.{A}", "dop_v1_" + "0a" * 32, f"hvs.{A}{A}",
    ],
    "Tallystick's own token": [f"tally_0123abcd_{A}"],
    "Authorization header": [],
    "quoted value under a secret's name": [],
    "value that is assigned to a secret's name": [],
    "value behind a secret's name and a colon": [],
}  # fmt: skip
"""Each shape's own; in the last ones, and in Slack's, the text around tells what is a key: CARRIERS."""
CARRIERS = {
    "Bearer {}": "SecretSecret", "Authorization: bearer  {}": A, "Token {}": A, "Basic {}": "dXNlcjpwYXNzd29yZA==",
    "https://h/x?api_key={}&n=1": "hunter22", "https://h/?key={}": "hunter22", "api-key: {}": "hunter22",
    '{{"password": "{}"}}': "hunter22", "AWS_SECRET_ACCESS_KEY={}": "wJalrXUtnFEMIK7MDENG",
    "https://hooks.slack.com/services/{}": "T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX", "X-Api-Key:{}": "hunter22",
    "PASSWORD={}": "hunter22", "password = {}": "hunter22", r'{{\"password\": \"{}\"}}': "hunter22",
    r'{{\\\"api_key\\\": \\\"{}\\\"}}': "hunter22",
    "token={}": "abc", "it failed with token={}, again": "abc", "PASSWORD : {}": "x", "password\t:\t{}": "x",
    "api_key => {}": "x", "pwd := {}": "x", "secret == {}": "x", "GITHUB_TOKEN={}": "abc", "Api-Key : {}": "x",
    "{{'token': '{}'}}": "abc", '"token" => "{}"': "abc", "password={};": "p@ss:w#rd",
    "passphrase: '{}'": "correct horse", "password: {}, user: x": "a1", "auth = {}": "abc",
    "the token: {} expired": "a1b2c3",
    "{{secret: {}}}": "x", "?token={}&n=1": "a=b",
}  # fmt: skip
NO_KEYS = [
    str(uuid.UUID(int=2**127 - 1)),
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "0f" * 16,
    "0f" * 20,
    "0f" * 32,
    "fp_" + "0a" * 12,
    "p_" + "0a" * 12,
    "gpt-4o-mini-2024-07-18",
    "claude-3-5-sonnet@20240620",
    "text-embedding-3-large",
    "sk-learn-pipeline",
    "us.anthropic.claude-sonnet-4-20250514-v1:0",
    "accounts/fireworks/models/llama-v3p1-405b-instruct",
    "task-12345678901234",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "asia-northeast1",
    "arn:aws:iam::123456789012:role/ASIA",
    "a bearer of news",
    "the key is lost",
    "token limit reached",
    "basic support",
    "ft:gpt-4o-2024-08-06:acme::AbCdEfGh",
    "sha256:" + "0f" * 32,
    "search-api/0123456789ab-17",
    "risk-proj-1234567890",
    "2026-01-05T12:00:00.123456+00:00",
    "session-01HZX5K8Q2J3M4N5P6R7S8T9V0",
    "https://api.openai.com/v1/chat/completions",
    "image@sha256:0f0f",
    "package@1.2.3",
    "gemini-2.0-flash@latest",
    "text-bison@001",
    "@team",
    "a @ b",
    "the token: three words",
    "unexpected token: foo",
    "password reset",
    "password reset: see the mail",
    "the password: set it anew",
    "max_token=1200, input_token: 48000",
    "token: 5",
    "a token = ",
    "tokens=abc",
    "author=ann",
]
ADDRESSES = {
    "ann@example.com": "ann@example.com",
    "agent of ann.b+x@mail.example.co.uk.": "ann.b+x@mail.example.co.uk",
    "https://h/?mail=ann%40example.com&x=1": "ann@example.com",
    "https://h/?q=a%3Dann%2540example.com": "ann@example.com",
    "https://ann:secret@example.com/x": "ann",
    "https://ann%40example.com:secret@h/x": "ann@example.com",
    "https://ann@example.com:secret@h/x": "ann@example.com",
    "auth0|ann@example.com": "ann@example.com",
    "Ann <ann@example.com>": "ann@example.com",
    "'o'hara@example.ie'": "o'hara@example.ie",
    "ann\uff20example.com": "ann@example.com",
    "ann@b\u00fccher.example": "ann@b\u00fccher.example",
    "mailto:ann@example.com?x": "ann@example.com",
    "a\u200bnn@example.com": "ann@example.com",
    "ann@example.c\u200bo\u200d\u00adm": "ann@example.com",
    "ann@example.\u200bcom": "ann@example.com",
    "ann@localhost": "ann@localhost",
    "ann@[10.0.0.1]": "ann@[10.0.0.1]",
    '"ann b"@example.com': '"ann b"@example.com',
    "x ann@example.com@example.org": "ann@example.com",
    **{f"x{sign}ann@example.com": f"x{sign}ann@example.com" for sign in "!#$%&'*+-?^_`{}~."},
    **{f"of ann{sign}@example.com": f"ann{sign}@example.com" for sign in "!#$%&'*+-/=?^_`{|}~"},
    **{f"{sign}ann@example.com{sign}": "ann@example.com" for sign in "#*{|}`=&?/%'"},
    "app/ann@example.com": "ann@example.com",
    "user=ann@example.com": "ann@example.com",
    "https://h/p?n=1&user=ann.lee@example.com": "ann.lee@example.com",
    "bounce+ann=example.com@list.example": "bounce+ann=example.com@list.example",
    "/G=ann/S=lee/@gateway.example": "G=ann/S=lee/@gateway.example",
    "ann(private)@example.com": "ann@example.com",
    "ann@(private)example.com": "ann@example.com",
    "(ann@example.com)": "ann@example.com",
    "((ann@example.com": "ann@example.com",
}


def person(name: str) -> str:
    return "p_" + fingerprint(f"the organization's key and {name}")[3:]


def test_every_shape_has_its_keys() -> None:
    assert KEYS.keys() == {shape.name for shape in KEY_SHAPES}
    assert all(shape.source and shape.markers for shape in KEY_SHAPES)


def body(text: str) -> bytes:
    return json.dumps({"source": "s", "data": {"session": text}}, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("key", [key for keys in KEYS.values() for key in keys])
@pytest.mark.parametrize("carrier_text", ["{}", "agent of {}", "x/{}", "({})", '"{}"', "key_{}", "\u2019{}\n"])
def test_a_key_is_its_fingerprint_wherever_it_stands(key: str, carrier_text: str) -> None:
    text = carrier_text.format(key)
    assert replace_keys(text) == carrier_text.format(fingerprint(key))
    assert may_hold_key(body(text)), "or nobody would look at it"


@pytest.mark.parametrize(("carrier", "key"), CARRIERS.items())
def test_what_a_text_calls_a_secret_is_one(carrier: str, key: str) -> None:
    assert replace_keys(carrier.format(key)) == carrier.format(fingerprint(key))
    assert may_hold_key(body(carrier.format(key)))


def test_the_password_of_a_url_is_left_out() -> None:
    assert replace_keys("postgres://tally:a/b@h") == "postgres://tally:a/b@h", "a slash ends the authority"
    assert replace_keys("x://a@b.io:s3cret!@h") == "x://a@b.io@h"
    assert replace_keys("postgres://tally:s3cret!@h/x") == "postgres://tally@h/x"


def test_a_block_that_was_cut_is_one_key() -> None:
    assert replace_keys(f"x {PEM[:60]} y") == f"x {fingerprint(PEM[:60] + ' y')}"


@pytest.mark.parametrize("text", NO_KEYS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert replace_addresses(replace_keys(text), person) == text


@pytest.mark.parametrize(("text", "address"), ADDRESSES.items())
def test_an_address_is_a_pseudonym_wherever_it_stands(text: str, address: str) -> None:
    names: list[str] = []
    replaced = replace_addresses(text, lambda name: names.append(name) or person(name))  # type: ignore[func-returns-value]
    assert names == [address] and "ann" not in replaced and "secret" not in replaced
    assert may_hold_address(body(text))
    assert replace_addresses(replaced, person) == replaced


SIGNS = ["://", "@", ":", "%40", "=", " ", "/", "'", '"', "Bearer ", "api_key=", "example.com", "eyJ", "-", "_", "+"]
PARTS = st.sampled_from(
    [
        *(key for keys in KEYS.values() for key in keys),
        *ADDRESSES,
        *CARRIERS,
        "fp_" + "0a" * 12,
        "p_" + "0a" * 12,
        *SIGNS,
    ]
)


@given(st.lists(PARTS | st.text(max_size=4), max_size=6).map("".join))
@example("token=fp_5ffe408ff221140a4de33e46Q~Ab3dEf6hIj9lMn2pQr5tUv8xYz1Bc4Eg")
def test_doing_it_again_changes_nothing(text: str) -> None:
    once = replace_keys(text)
    assert replace_keys(once) == once
    concealed = replace_addresses(once, person)
    assert replace_addresses(replace_keys(concealed), person) == concealed


@given(st.lists(PARTS | st.text(max_size=4), max_size=6).map("".join))
def test_what_is_not_looked_at_holds_nothing(text: str) -> None:
    if not may_hold_key(body(text)):
        assert replace_keys(text) == text
    if not may_hold_address(body(text)):
        assert replace_addresses(text, person) == text


@pytest.mark.parametrize(
    "text", ["a" * MAX_TEXT_LENGTH, "sk-" * 341, "eyJ-" * 256, "a@" * 512, "%40" * 340, "x://" * 256]
)
def test_no_text_takes_long(text: str) -> None:
    """By the count of an expression's steps this is at most the square of 1,024; what is longer is not looked at."""
    replace_addresses(replace_keys(text), person)
    assert replace_keys(text + f" sk-proj-{A}" * 30) == text + f" sk-proj-{A}" * 30


def test_what_stands_in_a_key_field() -> None:
    fp = fingerprint(f"sk-{A}")
    for value in (f"sk-{A}", f"Bearer sk-{A}", f" sk-{A}\n", f"team x: sk-{A}", fp):
        assert key_fingerprint(value) == fp
    for value in ("k1", "0f" * 16, "hunter2", PEM, PEM * 10):
        assert FINGERPRINT.fullmatch(key_fingerprint(value)), value
        assert key_fingerprint(key_fingerprint(value)) == key_fingerprint(value)
    assert key_fingerprint("ann@example.com") == "ann@example.com", "its hash could be guessed: the intake has a key"
    assert key_fingerprint("p_" + "0a" * 12) == "p_" + "0a" * 12


def test_no_field_takes_a_longer_text_than_is_looked_at() -> None:
    """A field without a bound would let secrets in beyond it."""

    def find_unbounded(schema: object, path: str) -> list[str]:
        if isinstance(schema, list):
            return [paths for inner in schema for paths in find_unbounded(inner, path)]
        if not isinstance(schema, dict):
            return []
        if {"number", "string"} <= {inner.get("type") for inner in schema.get("anyOf", [])}:
            return []  # an amount: digits alone
        bounded = {"const", "enum", "pattern", "format", "maxLength"} & schema.keys()
        paths = [path] if schema.get("type") == "string" and not bounded else []
        if schema.get("maxLength", 0) > MAX_TEXT_LENGTH:
            paths.append(path)
        return paths + [
            inner_path for name, inner in schema.items() for inner_path in find_unbounded(inner, f"{path}.{name}")
        ]

    assert find_unbounded(ANY_EVENT.json_schema(), "") == []
