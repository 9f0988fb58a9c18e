"""Key shapes: the forms of providers' keys in texts, and the fingerprint that replaces one. Pure.

A fingerprint is an unkeyed, truncated SHA-256 of the key, so the client and the ledger make the same one without
sharing a secret, and calls join by it. That is safe for what a provider made: such a key has 80 random bits or more,
and nobody can try them all. It is not safe for a key that a person made up: a reader of the ledger can try guesses.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tallystick.privacy import addresses

FINGERPRINT = re.compile(r"fp_[0-9a-f]{24}")
MAX_TEXT_LENGTH = 1024
"""Characters of the longest text that the vocabulary takes. A longer one is refused, so nothing is replaced in it."""
MAX_KEY_LENGTH = 16_384
"""Characters of the longest value that is read as a key: a private key of 8192 bits in PEM has 6,400."""
MAX_DEPTH = 8
"""The depth to which texts are searched; no field of the vocabulary lies deeper than six."""

_WORD_START = r"(?<![A-Za-z0-9])"  # a prefix begins a word: "task-..." holds no "sk-..."
_NOT_REPLACED = r"(?!f?p_[0-9a-f]{24})"  # what stands for a key or a person is no key
_GAP = r"(?:[ \t]{1,8}|%20|\+)"
_NAMES = ("key", "token", "auth", "secret", "password", "passwd", "pwd", "passphrase")
_SECRET_NAME = (
    _WORD_START + r"[A-Za-z0-9_-]{0,40}?(?:(?:api|access|subscription|private|secret)[_-]?key"
    r"|(?:access|auth|refresh|session|id|bearer|api)[_-]?token|secret|password|passwd|pwd|passphrase)"
)
_TOKEN_NAME = _WORD_START + r"[A-Za-z0-9_-]{0,40}?(?:token|auth)"
"""Names that prose has too ("unexpected token: foo"): a value is a secret behind `=`, or where it looks like one."""
_ASSIGN = r"(?:=>|:=|={1,2}|%3D)"
_ASSIGNMENT_MARKERS = (
    "=", "%3D", "%3d", '":', "':", " :", "\t:",
    *(f"{word}:" for name in _NAMES for word in (name, name.upper(), name.title())),
)  # fmt: skip
_QUOTE = r"\\{0,3}[\"']"
_GLUE = r"[\\\"' \t]{0,16}"
_VALUE = r"(?:(?!%26)[^\s\"'`\\&;,()\[\]{}<>|])"
_NO_COUNT = r"(?![0-9]{1,9}(?![\w%.+/=-]))"
"""The number of tokens is no secret."""
_GITLEAKS = "gitleaks, config/gitleaks.toml: "
_TRUFFLEHOG = "trufflehog, pkg/detectors/"


class KeyShape(NamedTuple):
    """One form of secret. ``markers`` are texts of which each match holds at least one; group ``key``, where the
    pattern has it, is the secret, and else the whole match is."""

    name: str
    markers: tuple[str, ...]
    pattern: re.Pattern[str]
    source: str


def _shape(name: str, markers: str, pattern: str, source: str) -> KeyShape:
    return KeyShape(name, tuple(markers.split()), re.compile(pattern), source)


KEY_SHAPES: tuple[KeyShape, ...] = (
    _shape(
        "PEM block",
        "-----BEGIN",
        r"-----BEGIN [A-Z0-9 ]{1,64}-----(?:[^-]|-(?!----END))*(?:-----END [A-Z0-9 ]{1,64}-----)?",
        "RFC 7468",
    ),
    _shape("JSON Web Token", "eyJ", _WORD_START + r"eyJ[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+){1,4}", "RFC 7519"),
    _shape(
        "kinds of sk- keys (OpenAI, Anthropic, OpenRouter, Langfuse)",
        "sk-",
        _WORD_START + r"sk-(?:ant|proj|svcacct|admin|service|None|or|lf|litellm)-[A-Za-z0-9_-]{8,}",
        _GITLEAKS + "openai-api-key, anthropic-api-key; " + _TRUFFLEHOG + "openrouter, langfuse",
    ),
    _shape(
        "sk- without a kind (OpenAI, DeepSeek, Moonshot, DashScope, LiteLLM)",
        "sk-",
        _WORD_START + r"sk-(?=[a-z_-]{0,64}[A-Z0-9])[A-Za-z0-9_-]{16,}",
        _GITLEAKS + "openai-api-key; " + _TRUFFLEHOG + "deepseek",
    ),
    _shape(
        "Stripe, ElevenLabs",
        "sk_ rk_",
        _WORD_START + r"(?:[sr]k_(?:test|live|prod)_[A-Za-z0-9]{10,}|sk_[a-f0-9]{40,})",
        _GITLEAKS + "stripe-access-token; " + _TRUFFLEHOG + "elevenlabs",
    ),
    _shape(
        "AWS access key",
        "A3T AKIA ASIA ABIA ACCA",
        _WORD_START + r"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16,}",
        _GITLEAKS + "aws-access-token",
    ),
    _shape(
        "Amazon Bedrock",
        "ABSK bedrock-api-key-",
        r"ABSK[A-Za-z0-9+/]{60,}={0,2}|bedrock-api-key-" + _NOT_REPLACED + r"[A-Za-z0-9+/=_-]{16,}",
        _GITLEAKS + "aws-amazon-bedrock-api-key-long-lived, -short-lived",
    ),
    _shape("Google API key", "AIza", r"AIza[A-Za-z0-9_-]{30,}", _GITLEAKS + "gcp-api-key"),
    _shape(
        "Google OAuth and express keys",
        "ya29. GOCSPX- AQ.Ab",
        _WORD_START + r"(?:ya29\.|GOCSPX-|AQ\.Ab)[A-Za-z0-9_-]{20,}",
        _TRUFFLEHOG + "googleoauth2, googlegemini",
    ),
    _shape(
        "Azure, with Microsoft's annotation",
        "JQQJ9",
        r"[A-Za-z0-9]{52}JQQJ9[9DH][A-Za-z0-9][A-L][A-Za-z0-9]{16}[A-Za-z][A-Za-z0-9]{7}(?:[A-Za-z0-9]{2}==)?",
        "microsoft/security-utilities: CommonAnnotatedSecurityKey",
    ),
    _shape(
        "Azure AD client secret",
        "Q~",
        r"(?:fp_[0-9a-f]{20,23})?[A-Za-z0-9_~.]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}",  # with a fingerprint that it touches
        _GITLEAKS + "azure-ad-client-secret",
    ),
    _shape(
        "Slack",
        "xoxa- xoxb- xoxe- xoxo- xoxp- xoxr- xoxs- xapp-",
        _WORD_START + r"(?:xox[abeoprs]-|xapp-)[A-Za-z0-9-]{10,}",
        _GITLEAKS + "slack-bot-token, slack-user-token, slack-app-token",
    ),
    _shape(
        "Slack webhook",
        "hooks.slack.com/",
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<key>" + _NOT_REPLACED + r"[A-Za-z0-9/]{20,})",
        _GITLEAKS + "slack-webhook-url",
    ),
    _shape(
        "GitHub",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
        _WORD_START + r"(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})",
        _GITLEAKS + "github-pat, github-fine-grained-pat",
    ),
    _shape("GitLab", "glpat-", _WORD_START + r"glpat-[A-Za-z0-9_.-]{20,}", _GITLEAKS + "gitlab-pat"),
    _shape(
        "Hugging Face",
        "hf_ api_org_",
        _WORD_START + r"(?:hf_|api_org_)[A-Za-z0-9]{20,}",
        _GITLEAKS + "huggingface-access-token",
    ),
    _shape("Groq", "gsk_", _WORD_START + r"gsk_[A-Za-z0-9]{20,}", _TRUFFLEHOG + "groq"),
    _shape("xAI", "xai-", _WORD_START + r"xai-[A-Za-z0-9]{20,}", _TRUFFLEHOG + "xai"),
    _shape("Perplexity", "pplx-", _WORD_START + r"pplx-[A-Za-z0-9]{20,}", _GITLEAKS + "perplexity-api-key"),
    _shape("NVIDIA", "nvapi-", _WORD_START + r"nvapi-[A-Za-z0-9_-]{20,}", _TRUFFLEHOG + "nvapi"),
    _shape("Cerebras", "csk-", _WORD_START + r"csk-[A-Za-z0-9]{20,}", "Cerebras, inference documentation: API keys"),
    _shape(
        "Replicate, Fireworks, Together, Tavily",
        "r8_ fw_ tgp_v1_ tvly-",
        _WORD_START + r"(?:(?:r8|fw)_[A-Za-z0-9]{20,}|tgp_v1_[A-Za-z0-9_-]{20,}|tvly-[A-Za-z0-9-]{20,})",
        _TRUFFLEHOG + "replicate, fireworksai, togetherai, tavily",
    ),
    _shape("Databricks", "dapi", _WORD_START + r"dapi[a-f0-9]{32}(?:-[0-9])?", _GITLEAKS + "databricks-api-token"),
    _shape(
        "LangSmith, Pinecone",
        "lsv2_ pcsk_",
        _WORD_START + r"(?:lsv2_(?:pt|sk)_|pcsk_)[A-Za-z0-9_]{20,}",
        _TRUFFLEHOG + "langsmith, pinecone",
    ),
    _shape(
        "npm, PyPI, SendGrid, DigitalOcean, Vault",
        "npm_ pypi- SG. doo_v1_ dop_v1_ dor_v1_ hvb. hvs.",
        _WORD_START + r"(?:npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{50,}|SG\.[A-Za-z0-9=_.-]{40,}"
        r"|do[opr]_v1_[a-f0-9]{64}|hv[bs]\.[A-Za-z0-9_-]{60,})",
        _GITLEAKS + "npm-access-token, pypi-upload-token, sendgrid-api-token, digitalocean-pat, vault-service-token",
    ),
    _shape(
        "Tallystick's own token",
        "tally_",
        _WORD_START + r"tally_[0-9a-f]{8}_[A-Za-z0-9_-]{20,}",
        "ledger/home/tokens.py",
    ),
    KeyShape(
        "Authorization header",
        tuple(
            name + gap for name in ("earer", "EARER", "asic", "ASIC", "oken", "OKEN") for gap in (" ", "\t", "%20", "+")
        ),
        re.compile(
            _WORD_START + r"(?i:bearer)" + _GAP + r"(?P<key>" + _NOT_REPLACED + r"[A-Za-z0-9_~+/.-]{8,}=*)"
            r"|"
            + _WORD_START
            + r"(?i:token)"
            + _GAP
            + r"(?P<token>"
            + _NOT_REPLACED
            + r"(?=[A-Za-z_~+/.-]{0,64}[0-9])[A-Za-z0-9_~+/.-]{8,}=*)"
            r"|"
            + _WORD_START
            + r"(?i:basic)"
            + _GAP
            + r"(?P<basic>"
            + _NOT_REPLACED
            + r"(?=[a-z0-9+/]{0,64}[A-Z])(?=[A-Z0-9+/]{0,64}[a-z])[A-Za-z0-9+/]{12,}={0,2})"
        ),
        "RFC 6750, RFC 7617",
    ),
    KeyShape(
        "quoted value under a secret's name",
        _ASSIGNMENT_MARKERS,
        re.compile(
            rf"(?:{_SECRET_NAME}(?:{_QUOTE})?[ \t]{{0,16}}(?:{_ASSIGN}|:)"
            rf"|{_TOKEN_NAME}(?:{_QUOTE}[ \t]{{0,16}}(?:{_ASSIGN}|:)|[ \t]{{0,16}}{_ASSIGN}))"
            rf"[ \t]{{0,16}}({_QUOTE})(?P<key>{_NOT_REPLACED}(?:(?!\1)[^\r\n]){{1,512}})(?=\1)",
            re.IGNORECASE,
        ),
        _GITLEAKS + "generic-api-key",
    ),
    KeyShape(
        "value that is assigned to a secret's name",
        _ASSIGNMENT_MARKERS,
        re.compile(
            rf"{_SECRET_NAME}{_GLUE}{_ASSIGN}{_GLUE}(?P<key>{_NOT_REPLACED}{_VALUE}++)"
            rf"|(?:{_TOKEN_NAME}|(?<=[?&])(?:key|sig|signature|code)){_GLUE}{_ASSIGN}{_GLUE}"
            rf"(?P<token>{_NOT_REPLACED}{_NO_COUNT}{_VALUE}++)",
            re.IGNORECASE,
        ),
        _GITLEAKS + "generic-api-key",
    ),
    KeyShape(
        "value behind a secret's name and a colon",
        _ASSIGNMENT_MARKERS,
        re.compile(
            rf"{_SECRET_NAME}{_GLUE}:{_GLUE}"
            rf"(?P<key>{_NOT_REPLACED}(?:(?={_VALUE}{{6}}){_VALUE}++|{_VALUE}{{1,5}}+(?![ \t]{{1,8}}\w)))"
            rf"|{_TOKEN_NAME}{_GLUE}:{_GLUE}"
            rf"(?P<token>{_NOT_REPLACED}{_NO_COUNT}(?=[A-Za-z_~+/.-]{{0,64}}[0-9])(?={_VALUE}{{6}}){_VALUE}++)",
            re.IGNORECASE,
        ),
        _GITLEAKS + "generic-api-key",
    ),
)
"""Every form that is replaced wherever a text holds it. What has none (32 hexadecimal digits may be a key of Azure, and
the hash of a trace) is taken for a key in a field that is meant for one, and there alone."""

_PIVOTS = "-_.:+ AJ"
"""Characters that are rare in events, each marker's first of which is looked for: an expression that begins with few
characters is passed over a text ten times as fast as one that begins with any letter."""

_MARKERS = frozenset(marker for shape in KEY_SHAPES for marker in shape.markers)
_SIGNS = frozenset("=%~\t")
"""Signs of which one is reason enough to look at a text: none stands in most events."""
_WORDS = tuple(sorted(marker.encode() for marker in _MARKERS if not (set(_PIVOTS) | _SIGNS) & set(marker)))


def _expression(markers: Iterable[str]) -> str:
    """Build an expression that finds a marker by its pivot, and compares the characters around it only there."""
    branches: dict[tuple[str, bool], list[tuple[str, str]]] = {}
    for marker in sorted(markers):
        pivot_index = min(marker.index(pivot) for pivot in _PIVOTS if pivot in marker)
        before, after = marker[:pivot_index], marker[pivot_index + 1 :]
        context = (f"(?<={re.escape(marker[: pivot_index + 1])})" if before else "") + re.escape(after)
        branches.setdefault((marker[pivot_index], bool(before)), []).append((before[-1:], context))
    alternatives = []
    for (pivot, follows), contexts in branches.items():
        lookbehind = f"(?<=[{re.escape(''.join({last for last, _ in contexts}))}]{re.escape(pivot)})" if follows else ""
        alternatives.append(f"{re.escape(pivot)}{lookbehind}(?:{'|'.join(context for _, context in contexts)})")
    return "|".join(alternatives)


_holds_marker = re.compile(
    _expression(marker for marker in _MARKERS if set(_PIVOTS) & set(marker) and not _SIGNS & set(marker)).encode()
).search
_USERINFO_PASSWORD = re.compile(r"(?<=://)([^\s/?#:]*):[^\s/?#]*@")


def may_hold_key(body: bytes) -> bool:
    """Tell in a few microseconds that compact JSON holds no key in its texts; True where they must be looked at."""
    return b"\\" in body or _is_marked(body.replace(b'":', b'"'))  # a colon of the JSON's own marks nothing


def fingerprint(key: str) -> str:
    """Return a name for a key that does not reveal it: ``fp_`` and 96 bits of its SHA-256."""
    return "fp_" + hashlib.sha256(key.encode(errors="replace")).hexdigest()[:24]


def replace_keys(text: str) -> str:
    """Return a text with a fingerprint in the place of each key, and without the password of a URL.

    Idempotent. A text of more than ``MAX_TEXT_LENGTH`` characters stays: no field takes one.
    """
    if len(text) > MAX_TEXT_LENGTH:
        return text
    return _replace_keys(text)


def key_fingerprint(value: str) -> str:
    """Return the value of a field for a key: a given fingerprint, or the fingerprint of anything else.

    A value that holds an e-mail address keeps it: a hash of an address could be guessed, so the ledger's intake
    replaces it under the organization's key. A pseudonym stays, too.
    """
    if not value or len(value) > MAX_KEY_LENGTH:
        return value  # the vocabulary refuses it
    if FINGERPRINT.fullmatch(value):
        return value
    text = _replace_keys(value.strip())
    if len(fingerprints := set(FINGERPRINT.findall(text))) == 1:
        return str(fingerprints.pop())
    if addresses.PSEUDONYM.fullmatch(text) or addresses.holds_address(text):
        return text
    return fingerprint(text)


def map_texts(value: Any, change: Callable[[str], str], depth: int = 0) -> Any:
    """Return the structure with every text in it changed, names of fields too; deeper parts stay."""
    if isinstance(value, str):
        return change(value)
    if depth > MAX_DEPTH:
        return value
    if isinstance(value, dict):
        return {
            map_texts(name, change, depth + 1): map_texts(inner, change, depth + 1) for name, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [map_texts(inner, change, depth + 1) for inner in value]
    return value


def _is_marked(text: bytes) -> bool:
    if b"=" in text or b"%" in text or b"~" in text or b"\t" in text or b"@" in text:
        return True
    return any(word in text for word in _WORDS) or _holds_marker(text) is not None


def _replace_keys(text: str) -> str:
    if not _is_marked(text.encode(errors="replace")):
        return text
    for shape in KEY_SHAPES:
        if any(marker in text for marker in shape.markers):
            text = shape.pattern.sub(_replace_match, text)
    return _USERINFO_PASSWORD.sub(r"\1@", text) if "://" in text else text


def _replace_match(match: re.Match[str]) -> str:
    groups = match.groupdict()
    name = next((name for name, value in groups.items() if value is not None), 0)
    key, start = match[name], match.start(name) - match.start()
    if addresses.holds_address(key) or addresses.PSEUDONYM.search(key):
        return match[0]  # a hash of an address could be guessed: the intake replaces it under the organization's key
    return match[0][:start] + fingerprint(key) + match[0][start + len(key) :]
