"""Budgets of LiteLLM and of the HTTP API under the same load: what is spent of a limit, and how many are denied.

``python -m benchmarks.rights.peers [LITELLM_PYTHON]``. 100 callers make 3,000 calls of 1,000 and 300 tokens on a limit
of 0.50 dollars; then 400 coding agents ask at once for calls with a large ``max_tokens`` on 25 dollars (litellm#38647);
then 100 calls of 0.18 dollars are made at once on 1.00 (the fixture of agentic-spendguard). LiteLLM's limiter is that
of its router (``max_budget`` of a deployment), in a process of its own that another Python runs: make it with
``python3 -m venv FOLDER && FOLDER/bin/pip install litellm``, and name ``FOLDER/bin/python``. Without it the HTTP API
alone is measured. No call leaves the machine: each is answered after 50 ms with the tokens that it is said to take.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from typing import Any, NamedTuple

from benchmarks.rights.admissions import MAX_CONNECTIONS, Server, serving
from ledger.log.open import open_log
from tally.product.grants.usage import read_grants

CALL_S = 0.05
PICO = 10**12
LITELLM = """
import asyncio, json, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
litellm.suppress_debug_info = True
load = json.load(sys.stdin)
tokens = {"prompt_tokens": load["input_tokens"], "completion_tokens": load["output_tokens"]}
usage = tokens | {"total_tokens": sum(tokens.values())}
answer = litellm.ModelResponse(model=load["model"], usage=usage,
    choices=[{"message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}])
params = {"model": "openai/" + load["model"], "api_key": "none", "max_budget": load["limit"], "budget_duration": "1d"}
async def main():
    router = litellm.Router(model_list=[{"model_name": "m", "litellm_params": params}], num_retries=0)
    calls, costs = iter(range(load["calls"])), []
    async def call():
        for _ in calls:
            try:
                response = await router.acompletion(model="m", messages=[{"role": "user", "content": "x"}],
                    max_tokens=load["max_tokens"], mock_response=answer, mock_delay=load["call_s"])
                costs.append(litellm.completion_cost(response, model=load["model"]))
            except ValueError as error:  # the router's refusal
                if "budget" not in str(error):
                    raise
                await asyncio.sleep(load["call_s"])
    await asyncio.gather(*(call() for _ in range(load["callers"])))
    print(json.dumps({"admitted": len(costs), "spent": sum(costs)}))
asyncio.run(main())
"""


class Load(NamedTuple):
    """Calls of a model, so many at a time: their tokens, and the limit in dollars."""

    name: str
    limit: str
    calls: int
    callers: int
    model: str
    input_tokens: int
    max_tokens: int
    output_tokens: int


LOADS = (
    Load("3,000 calls by 100 callers", "0.5", 3_000, 100, "gpt-4o-mini", 1_000, 1_000, 300),
    Load("a burst of 400 coding agents", "25", 400, 400, "gpt-4o", 20_000, 16_000, 600),
    Load("100 calls of $0.18 at once", "1", 100, 100, "gpt-4o", 32_000, 10_000, 10_000),
)


class Result(NamedTuple):
    admitted: int
    spent: float

    def describe(self, load: Load) -> str:
        return (
            f"{self.admitted:,} of {load.calls:,} admitted, ${self.spent:.3f} spent of ${float(load.limit):.2f}: "
            f"{self.spent / float(load.limit):.2f} times the limit"
        )


def main(litellm_python: str | None = None) -> None:
    with serving() as server:
        for number, load in enumerate(LOADS):
            print(load.name)
            for estimate in (None, 0.95):
                name = "worst case" if estimate is None else f"estimate {estimate}"
                if estimate is None or load.output_tokens < load.max_tokens:
                    result = _run(server, load, f"peer-{number}-{estimate or 1}", estimate)
                    print(f"  here, {name:14} {result.describe(load)}", flush=True)
            if litellm_python is not None:
                print(f"  LiteLLM's router     {_run_litellm(litellm_python, load).describe(load)}", flush=True)
    if litellm_python is None:
        print("LiteLLM was not run: name a Python that has it (python3 -m venv FOLDER; FOLDER/bin/pip install litellm)")


def _run_litellm(python: str, load: Load) -> Result:
    """Run a load on LiteLLM. SystemExit where that Python has none."""
    content = json.dumps(load._asdict() | {"limit": float(load.limit), "call_s": CALL_S})
    try:
        ended = subprocess.run([python, "-c", LITELLM], input=content, capture_output=True, text=True)
    except OSError as error:
        raise SystemExit(f"{python} cannot be run ({error}): name a Python that has litellm") from error
    if ended.returncode:
        reason = ended.stderr.strip().rpartition("\n")[2]
        raise SystemExit(f"LiteLLM did not run ({reason}): `{python} -m pip install litellm`")
    return Result(**json.loads(ended.stdout.splitlines()[-1]))


def _run(server: Server, load: Load, team: str, estimate: float | None) -> Result:
    """Have callers ask, call and settle. An estimate learns from the calls that have settled."""
    limit = {"meter": "billed", "currency": "USD", "amount": load.limit}
    server.give(team, [limit])
    call: dict[str, Any] = {"provider": "openai", "model": load.model, "team": team}
    ask = call | {"input_tokens": load.input_tokens, "max_tokens": load.max_tokens, "ttl_s": 1_000}
    if estimate is not None:
        ask["estimate"] = estimate
    tokens = {"input": load.input_tokens, "output": load.output_tokens}
    numbers, lock, admitted = iter(range(load.calls)), threading.Lock(), []

    def take() -> Iterator[int]:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            yield number

    def work(_: int) -> None:
        for number in take():
            ((_seconds, answer),) = server.exchange("POST", "/v1/admissions", json.dumps(ask), 1)
            time.sleep(CALL_S)
            if answer.get("answer") == "allow":
                event = {
                    "specversion": "1.0", "id": f"{team}-{number}", "source": "peers", "time": _now(),
                    "type": "tallystick.inference.v1",
                    "data": call | {"admission": answer["admission"], "tokens": tokens},
                }  # fmt: skip
                server.exchange("POST", "/v1/events", json.dumps(event), 1)
                admitted.append(number)

    with ThreadPoolExecutor(min(load.callers, MAX_CONNECTIONS)) as callers:
        list(callers.map(work, range(load.callers)))
    return Result(len(admitted), float(_read_spent(server, team)))


def _read_spent(server: Server, team: str) -> Decimal:
    """Read what the ledger says is used of a team's grant, in dollars."""
    with closing(open_log(server.settings)) as log:
        usage = read_grants(log, "acme").find(team)
        assert usage is not None
        return Decimal(usage.limits[0].used) / PICO


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


if __name__ == "__main__":
    main(*sys.argv[1:])
