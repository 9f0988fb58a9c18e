"""The OpenAPI 3.1 document of the API. A test sends its examples and checks the answers against it."""

from typing import Any

from ingest.api import admissions, authorize, body, event_headers, leases, traces, usage
from ingest.api.decisions import messages
from tallystick import ANY_EVENT, Admission, Lease
from tallystick.usage.reader import list_forms
from tallystick.vocabulary.attribute_names import HEADER_PREFIX, NAMED_FIELDS, header_name

CALL: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "my-app/7f3a",
    "time": "2026-06-01T12:00:00Z",
    "sequence": 1,
    "type": "tallystick.inference.v1",
    "data": {
        "provider": "openai", "model": "gpt-4o", "team": "search", "session": "s-1", "status": "ok",
        "tokens": {"input": 1200, "cache_read": 300, "output": 80},
    },
}  # fmt: skip
BUDGET: dict[str, Any] = {
    "specversion": "1.0",
    "id": "budget-1",
    "source": "my-console",
    "time": "2026-06-01T12:00:00Z",
    "type": "tallystick.control.v1",
    "data": {
        "control": "budget.allocated",
        "reason": "launch week",
        "body": {"dimension": "team", "scope": "search", "limit": "100", "currency": "USD", "window_s": 3600},
    },
}
_ORGANIZATION = {
    "name": "Tally-Organization", "in": "header", "required": False, "schema": {"type": "string"},
    "description": "The organization of the events; required where the token is for several.",
}  # fmt: skip
_CODING = {
    "name": "Content-Encoding", "in": "header", "required": False,
    "schema": {"type": "string", "enum": list(body.CODINGS)},
}  # fmt: skip
RESPONSE: dict[str, Any] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1_780_315_200, "model": "gpt-4o-2024-08-06",
    "usage": {"prompt_tokens": 1200, "completion_tokens": 80, "total_tokens": 1280},
}  # fmt: skip
ASK: dict[str, Any] = {
    "provider": "openai", "model": "gpt-4o", "team": "search", "input_tokens": 1200, "max_tokens": 500,
}  # fmt: skip
LEASE: dict[str, Any] = {"team": "search", "calls": 100, "tokens": 100_000, "billed": "5", "currency": "USD"}
UNUSED: dict[str, Any] = {"calls": 12, "tokens": 20_000, "billed": "1.5", "currency": "USD"}
_PROBLEM_DESCRIPTIONS = {
    400: "The body is no batch of events, is incomplete or cannot be unpacked; or no organization is chosen.",
    401: "No valid token.",
    403: "The token is not for this organization, or lacks the role. Of an ask: denied; a person can allow it.",
    404: "No such record or grant, or no form of usage of that name. Of a release: nothing is reserved.",
    408: "The body did not arrive in time, or arrived too slowly.",
    409: "The id has asked for another call.",
    413: f"More than {body.MAX_BODY_BYTES:,} bytes, packed or unpacked, or more than {body.MAX_EVENTS:,} events.",
    415: "The Content-Type or Content-Encoding is not supported.",
    422: "The event was rejected: `field` and `reason` say why.",
    429: "Not allowed now: the same ask may be allowed after Retry-After.",
    500: "The folds did not judge the ask.",
    503: "The log is unavailable, or the server is busy with requests of this token or of all tokens. "
    "Repeat the whole request after Retry-After; events that were accepted are counted once.",
}


def describe_api(server: str = "/") -> dict[str, Any]:
    """Describe the API at this address, by default the one where the description was asked for."""
    schema = ANY_EVENT.json_schema(ref_template="#/components/schemas/{model}")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tallystick",
            "version": "1",
            "description": "Send events to the ledger. An accepted event is durable.",
        },
        "servers": [{"url": server}],
        "security": [{"token": []}],
        "paths": {
            "/v1/events": {"post": _describe_post()},
            "/v1/events/{partition}/{offset}": {"get": _describe_outcomes()},
            "/v1/usage/{form}": {"post": _describe_usage()},
            "/v1/traces": {"post": _describe_traces()},
            "/v1/admissions": {"post": _describe_admissions()},
            "/v1/admissions/{admission}": {"delete": _describe_release()},
            "/v1/authorize": {"get": _describe_authorize()},
            "/v1/decisions": {"get": _describe_decisions()},
            "/v1/leases": {"post": _describe_leases()},
            "/v1/leases/{lease}/return": {"post": _describe_return()},
            "/v1/token": {"get": _describe_get("Organizations and roles of the token", _TOKEN, {401})},
            "/healthz": {"get": _describe_get("Liveness: the process answers", None, set()) | {"security": []}},
            "/readyz": {"get": _describe_get("Readiness: the log answers", None, {503}) | {"security": []}},
            "/metrics": {"get": _describe_get("Metrics for Prometheus", None, set()) | {"security": []}},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schema.pop("$defs")
            | {
                "Event": schema,
                "Answer": _ANSWER,
                "Problem": _PROBLEM,
                "Decision": _DECISION,
                "Ask": _describe_ask(Admission, ("action", "admission")),
                "LeaseAsk": _describe_ask(Lease, ("action", "lease")),
                "LeaseAnswer": _LEASE_ANSWER,
            },
        },
    }


def _describe_post() -> dict[str, Any]:
    event, examples = {"$ref": "#/components/schemas/Event"}, {"call": {"value": CALL}, "budget": {"value": BUDGET}}
    content: dict[str, Any] = {kind: {"schema": event, "examples": examples} for kind in body.SINGLE}
    for kind in body.BATCH:
        content[kind] = {"schema": {"type": "array", "items": event}, "examples": {"batch": {"value": [CALL, CALL]}}}
    for kind in body.LINES:
        content[kind] = {"schema": {"type": "string", "description": "one event a line"}}
    return {
        "summary": "Append events. Facts need the role write, decisions the role admin",
        "parameters": [_ORGANIZATION, _CODING],
        "requestBody": {"required": True, "content": content},
        "responses": _describe_responses("Answer", {400, 401, 403, 408, 413, 415, 422, 503}),
    }


def _describe_usage() -> dict[str, Any]:
    form = {
        "name": "form", "in": "path", "required": True, "schema": {"type": "string", "enum": list(list_forms())},
        "description": "The form of the response: of a provider, of a host that answers like it, or of a library.",
    }  # fmt: skip
    response = {"type": "object", "description": "a response, or a chunk of a stream, as the provider sent it"}
    content: dict[str, Any] = {
        usage.JSON: {
            "schema": {"anyOf": [response, {"type": "array", "items": {"anyOf": [response, {"type": "array"}]}}]},
            "examples": {"response": {"value": RESPONSE}, "several": {"value": [RESPONSE]}},
        },
        usage.STREAM: {"schema": {"type": "string", "description": "the server-sent events of one stream"}},
    }
    for kind in body.LINES:
        content[kind] = {"schema": {"type": "string", "description": "one response or chunk a line"}}
    headers = [
        _describe_header(
            event_headers.ID, "The identity of the event, the same with a retry; by default the response's."
        ),
        _describe_header(event_headers.SOURCE, "The application that called; with the id the identity of the event."),
        _describe_header(event_headers.TIME, "The time of the call, RFC 3339; by default the response's, else now."),
        _describe_header(event_headers.STREAM, "`true`: the whole body is the chunks of one stream."),
        *(_describe_header(header_name(field), f"`{field}` of the event.") for field in NAMED_FIELDS),
    ]
    return {
        "summary": "Append the calls that responses of a provider are. Tokens are read, content is not",
        "parameters": [form, _ORGANIZATION, _CODING, *headers],
        "requestBody": {"required": True, "content": content},
        "responses": _describe_responses("Answer", {400, 401, 403, 404, 408, 413, 415, 422, 503}),
    }


def _describe_traces() -> dict[str, Any]:
    status = {"description": "A `google.rpc.Status` in the encoding of the request."}
    answers = {
        "description": "An `ExportTraceServiceResponse` in the encoding of the request; rejected calls are a partial "
        "success.",
        "content": {kind: {} for kind in traces.KINDS.media_types},
    }
    return {
        "summary": "OTLP/HTTP: append the calls among the spans of an ExportTraceServiceRequest",
        "parameters": [_ORGANIZATION, _CODING],
        "requestBody": {"required": True, "content": {kind: {} for kind in traces.KINDS.media_types}},
        "responses": {"200": answers} | {str(code): status for code in (400, 401, 403, 413, 415, 503)},
    }


def _describe_ask(model: type[Admission] | type[Lease], foreign: tuple[str, ...]) -> dict[str, Any]:
    """Describe an ask: the fields of a request without the foreign ones, and its id."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    fields = {name: field for name, field in schema["properties"].items() if name not in foreign}
    id = {
        "type": "string", "minLength": 1,
        "description": "its name, such as a UUID; the same id gets the same answer. Made where absent",
    }  # fmt: skip
    return {"type": "object", "additionalProperties": False, "properties": {"id": id} | fields}


def _describe_leases() -> dict[str, Any]:
    ask, answer = {"$ref": "#/components/schemas/LeaseAsk"}, {"$ref": "#/components/schemas/LeaseAnswer"}
    content = {leases.JSON: {"schema": ask, "examples": {"lease": {"value": LEASE}}}}
    given = {"description": "A slice, and what admitting takes.", "content": {leases.JSON: {"schema": answer}}}
    return {
        "summary": "Lease a slice of grants, to admit calls in memory. The role is write",
        "parameters": [_ORGANIZATION, _CODING],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": given} | _describe_problems({400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503}),
    }


def _describe_return() -> dict[str, Any]:
    lease = {"name": "lease", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    fields = {"id": {"type": "string", "minLength": 1}} | {name: _describe_amount(name) for name in leases.AMOUNTS}
    schema = {"type": "object", "additionalProperties": False, "properties": fields}
    content = {leases.JSON: {"schema": schema, "examples": {"return": {"value": UNUSED}}}}
    return {
        "summary": "Return what a lease does not use. It admits no call from then on",
        "parameters": [lease, _ORGANIZATION, _CODING],
        "requestBody": {"required": True, "content": content},
        "responses": _describe_responses(None, {400, 401, 403, 408, 409, 413, 415, 422, 500, 503}),
    }


def _describe_amount(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = Lease.model_json_schema()["properties"]
    return dict(properties[name])


def _describe_admissions() -> dict[str, Any]:
    ask, decision = {"$ref": "#/components/schemas/Ask"}, {"$ref": "#/components/schemas/Decision"}
    asks = {"type": "array", "items": ask, "minItems": 1, "maxItems": admissions.MAX_ASKS}
    answers = {"type": "object", "required": ["answers"], "properties": {"answers": {"type": "array"}}}
    content = {
        admissions.JSON: {
            "schema": {"anyOf": [ask, asks]},
            "examples": {"ask": {"value": ASK}, "several": {"value": [ASK, ASK]}},
        }
    }
    allowed = {
        "description": "Allowed, perhaps for a cheaper `model`; what the call may cost is reserved. To a list: "
        "`answers`, one for each ask, with its `status`.",
        "content": {admissions.JSON: {"schema": {"anyOf": [decision, answers]}}},
    }
    problems = _describe_problems({400, 401, 403, 408, 409, 413, 415, 422, 429, 500, 503})
    return {
        "summary": "Ask whether calls may be made, and reserve what they may cost. The role is write",
        "parameters": [_ORGANIZATION, _CODING],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": allowed} | problems,
    }


def _describe_authorize() -> dict[str, Any]:
    names = ("answer", "admission", "model")
    headers = {
        f"{HEADER_PREFIX}{authorize.ANSWERED[name]}": {
            "schema": {"type": "string"}, "description": f"`{name}` of the decision.",
        }
        for name in names
    }  # fmt: skip
    allowed = {
        "description": "Allowed, perhaps for a cheaper model; what the call may cost is reserved.",
        "headers": headers,
        "content": {admissions.JSON: {"schema": {"$ref": "#/components/schemas/Decision"}}},
    }
    ask_headers = [
        _describe_header(event_headers.ID, "The admission's name; the same id gets the same answer."),
        _describe_header(authorize.REFUSAL_STATUS, "403 or 401: the status of all refusals, for nginx."),
        *(_describe_header(header_name(field), f"`{field}` of the ask.") for field in authorize.ASK_FIELDS),
    ]
    return {
        "summary": "Ask whether a call may be made, by headers, with any method and any path below. For proxies: "
        "Envoy's ext_authz, nginx's auth_request. The role is write",
        "parameters": [_ORGANIZATION, *ask_headers],
        "responses": {"200": allowed} | _describe_problems({400, 401, 403, 409, 422, 429, 500, 503}),
    }


def _describe_decisions() -> dict[str, Any]:
    grants = {"type": "array", "items": {"type": "string"}}
    parameters = [
        _ORGANIZATION,
        {
            "name": "kind", "in": "query", "schema": {"type": "array", "items": {"enum": list(messages.KINDS)}},
            "description": "Kinds of events; all where absent. "
            + " ".join(f"`{kind}`: {text}." for kind, text in messages.KINDS.items()),
        },
        {"name": "grant", "in": "query", "schema": grants, "description": "Grants, and with them all above; or all."},
        _describe_header("Last-Event-ID", "The id of the last event; the stream goes on behind it."),
    ]  # fmt: skip
    events = {"description": "Events.", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    return {
        "summary": "Decisions about grants as server-sent events, after the state. The role is read",
        "parameters": parameters,
        "responses": {"200": events} | _describe_problems({400, 401, 403, 404, 503}),
    }


def _describe_release() -> dict[str, Any]:
    admission = {"name": "admission", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    return {
        "summary": "Release an admission whose call is not made",
        "parameters": [admission, _ORGANIZATION],
        "responses": _describe_responses(None, {400, 401, 403, 404, 422, 503}),
    }


def _describe_header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": {"type": "string"}, "description": description}


def _describe_outcomes() -> dict[str, Any]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "integer", "minimum": 0}}
        for name in ("partition", "offset")
    ]
    return {
        "summary": "Outcomes of the events of one record: counted, duplicate, conflict, quarantined or held; of "
        "decisions also whether they apply (`controls`). A record may hold other events of the same token: "
        "`event_index` of the answer names yours",
        "parameters": [*path, _ORGANIZATION],
        "responses": _describe_responses(None, {400, 401, 403, 404, 503}),
    }


def _describe_get(summary: str, schema: dict[str, Any] | None, problems: set[int]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": "OK"}
    if schema:
        response["content"] = {"application/json": {"schema": schema}}
    return {"summary": summary, "responses": {"200": response} | _describe_problems(problems)}


def _describe_responses(schema: str | None, problems: set[int]) -> dict[str, Any]:
    answer = {"$ref": f"#/components/schemas/{schema}"} if schema else {"type": "object"}
    return {
        "200": {"description": "The result of each event.", "content": {"application/json": {"schema": answer}}}
    } | _describe_problems(problems)


def _describe_problems(statuses: set[int]) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        str(status): {"description": _PROBLEM_DESCRIPTIONS[status], "content": content} for status in sorted(statuses)
    }


_POSITION = {
    "type": "object",
    "description": "accepted: the position on tally.events",
    "required": ["partition", "offset", "event_index"],
    "properties": {name: {"type": "integer", "minimum": 0} for name in ("partition", "offset", "event_index")},
}
_REFUSAL = {
    "type": "object",
    "description": "rejected: the field, and the value that would be accepted",
    "required": ["field", "reason"],
    "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
}
_ANSWER = {
    "type": "object",
    "required": ["accepted", "refused", "results"],
    "properties": {
        "accepted": {"type": "integer"},
        "refused": {"type": "integer"},
        "results": {"type": "array", "items": {"oneOf": [_POSITION, _REFUSAL]}},
        "removed": {
            "type": "array",
            "items": {"type": "object"},
            "description": "values of unknown fields, which the log does not keep",
        },
    },
}
_DECISION = {
    "type": "object",
    "required": ["admission", "answer", "grants", "reserved", "expires_at"],
    "properties": {
        "admission": {
            "type": "string",
            "description": "its name, which the inference repeats in `admission`: the ask's id, or one of a lease",
        },
        "answer": {"enum": ["allow", "downgrade"]},
        "model": {"type": "string", "description": "the model that may be called"},
        "lease": {"type": "string", "description": "the lease of the API's own that answered, without the log"},
        "grants": {"type": "array", "items": {"type": "string"}, "description": "the grant of each scope that has any"},
        "reserved": {
            "type": "array",
            "items": {"type": "object"},
            "description": "of each limit grant, limit, amount, what is left after it, and when it refills",
        },
        "expires_at": {"type": "string", "description": "when the reservation ends by itself"},
        "warnings": {"type": "array", "items": {"type": "object"}, "description": "limits that warn and have no room"},
        "samples": {"type": "integer", "description": "of an estimate, the calls it is from; below 20 it is none"},
    },
}
_LEASE_ANSWER = {
    "type": "object",
    "required": [
        "lease", "amounts", "leased", "grants", "allow", "dimensions", "prices", "warnings", "admits_until",
        "expires_at",
    ],
    "properties": {
        "lease": {"type": "string", "description": "its name"},
        "amounts": {"type": "object", "description": "the slice, by measure"},
        "currency": {"type": "string"},
        "leased": {"type": "array", "items": {"type": "object"}, "description": "grant, limit and amount"},
        "grants": {"type": "array", "items": {"type": "string"}, "description": "the grant of each scope that has any"},
        "allow": {"type": "object", "description": "the calls that it may admit: names by dimension"},
        "dimensions": {
            "type": "array", "items": {"type": "string"},
            "description": "of scopes: calls have those of the lease in these",
        },
        "prices": {
            "type": "array", "items": {"type": "object"},
            "description": "of each of `models` that has any: the greatest of a call, and of a token of each side in "
            "calls of more than `above` tokens",
        },
        "warnings": {"type": "array", "items": {"type": "object"}, "description": "limits that warn and have no room"},
        "admits_until": {"type": "string", "description": "when it admits no further call"},
        "expires_at": {"type": "string", "description": "when what was not settled is free again"},
    },
}  # fmt: skip
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
        "detail": {"type": "string"}, "field": {"type": "string"}, "reason": {"type": "string"},
        "answer": {"enum": ["throttle", "deny"]}, "retryable": {"type": "boolean"}, "grant": {"type": "string"},
        "granted_by": {"type": "string"}, "limit": {"type": "string"}, "left": {"type": ["string", "integer"]},
        "kept": {"type": ["string", "integer"]}, "refills_at": {"type": "string"}, "retry_after_s": {"type": "integer"},
    },
}  # fmt: skip
_TOKEN = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "organizations": {"type": "array", "items": {"type": "string"}},
        "roles": {"type": "array", "items": {"enum": ["write", "read", "admin"]}},
    },
}
