"""The table of docs/scale.md follows from its inputs and formulae, and the inputs are those that were measured."""

import re
from math import ceil

from ledger.log import PARTITIONS
from ledger.log.kafka.topics import REPLICAS
from tests.tally.conftest import ROOT

PAGE = (ROOT / "docs" / "scale.md").read_text()
BENCHMARKS = (ROOT / "docs" / "benchmarks.md").read_text()
FACTORS = (1, 10, 100, 1000)
ROWS = {
    "calls a second, mean": ("mean", ",.0f"),
    "calls a second, at the peak": ("busiest", ",.0f"),
    "workers, a core each": ("workers", ",d"),
    "sinks, of which this version has one": ("sinks", ",d"),
    "GB a year on the log, one copy": ("log_gb", ",.0f"),
    "GB a year of rows and identities, one copy": ("memory_gb", ",.0f"),
    "GB a year in the warehouse, one copy": ("warehouse_gb", ",.0f"),
    "ClickHouse shards": ("shards", ",d"),
    "cores in all": ("cores", ",d"),
    "GB on fast disks, every copy": ("fast_gb", ",.0f"),
    "GB in object storage": ("cold_gb", ",.0f"),
    "dollars a month": ("dollars", ",.0f"),
    "**dollars for a million calls**": ("each", ",.2f"),
}


def inputs() -> dict[str, float]:
    section = PAGE.split("## Inputs")[1].split("## Formulae")[0]
    return {name: float(value) for name, value in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", section, re.MULTILINE)}


def computed(factor: int) -> dict[str, float]:
    (formulae,) = re.findall(r"^```python formulae\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    found: dict[str, float] = {"factor": factor, **inputs()}
    exec(formulae, {"ceil": ceil}, found)
    return found


def table() -> str:
    columns = [computed(factor) for factor in FACTORS]
    rows = [
        f"| {said} | " + " | ".join(format(int(one[name]) if form == ",d" else one[name], form) for one in columns)
        for said, (name, form) in ROWS.items()
    ]
    return "\n".join(f"{row} |" for row in rows)


def test_the_table_is_what_the_formulae_give() -> None:
    assert PAGE.rstrip().endswith(table()), f"the table of docs/scale.md should be:\n{table()}"


def test_what_was_measured_is_what_the_benchmarks_say() -> None:
    measured = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| .* \| `python -m (benchmarks[\w.]+)` \|", PAGE, re.MULTILINE)
    assert {name for name, *_ in measured} == {"worker", "sink", "recorded", "derived", "memory", "stored"}
    for name, value, program in measured:
        section = BENCHMARKS.split(f"`python -m {program}`")[1].split("\n## ")[0]
        said = f"{int(value):,}" if "." not in value else value
        assert re.search(rf"\| \**{re.escape(said)}\** \|", section), (name, said)
    assert (inputs()["partitions"], inputs()["copies"]) == (PARTITIONS, REPLICAS)


def test_the_text_says_what_the_inputs_say() -> None:
    said = inputs()
    peak = said["worker"] * said["used"]
    text = " ".join(PAGE.split())
    assert f"a peak of {peak:,.0f} calls a second" in text
    assert f"{peak / said['peak'] * 86400 / 1e6:.0f} million calls a day" in text
    assert computed(100)["sinks"] == 1 < computed(1000)["sinks"], "at 1,000 times the load one sink is not enough"
    assert computed(1000)["workers"] <= said["partitions"]
    assert f"takes {said['calls'] * 365 / said['worker'] / 3600:.1f} hours" in text
    mean = computed(100)["mean"] * (said["recorded"] + said["derived"]) / 1e6
    assert f"grow by {mean:.1f} MB a second, and {mean * said['peak']:.0f} MB at the peak" in text
