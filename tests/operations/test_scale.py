"""The table of docs/scale.md follows from its inputs and formulae, and the inputs are those that were measured."""

import re
from math import ceil

from ledger.log import PARTITIONS
from ledger.log.kafka.topics import MAX_REPLICAS
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


def read_inputs() -> dict[str, float]:
    section = PAGE.split("## Inputs")[1].split("## Formulae")[0]
    return {name: float(value) for name, value in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", section, re.MULTILINE)}


def compute_column(factor: int) -> dict[str, float]:
    (formulae,) = re.findall(r"^```python formulae\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    variables: dict[str, float] = {"factor": factor, **read_inputs()}
    exec(formulae, {"ceil": ceil}, variables)
    return variables


def render_table() -> str:
    columns = [compute_column(factor) for factor in FACTORS]
    rows = [
        f"| {title} | "
        + " | ".join(format(int(column[name]) if form == ",d" else column[name], form) for column in columns)
        for title, (name, form) in ROWS.items()
    ]
    return "\n".join(f"{row} |" for row in rows)


def test_the_table_is_what_the_formulae_give() -> None:
    assert PAGE.rstrip().endswith(render_table()), f"the table of docs/scale.md should be:\n{render_table()}"


def test_what_was_measured_is_what_the_benchmarks_say() -> None:
    measured = re.findall(r"^\| `(\w+)` \| ([\d.]+) \| .* \| `python -m (benchmarks[\w.]+)` \|", PAGE, re.MULTILINE)
    assert {name for name, *_ in measured} == {"worker", "sink", "recorded", "derived", "memory", "stored"}
    for name, value, program in measured:
        section = BENCHMARKS.split(f"`python -m {program}`")[1].split("\n## ")[0]
        figure = f"{int(value):,}" if "." not in value else value
        assert re.search(rf"\| \**{re.escape(figure)}\** \|", section), (name, figure)
    assert (read_inputs()["partitions"], read_inputs()["copies"]) == (PARTITIONS, MAX_REPLICAS)


def test_the_text_says_what_the_inputs_say() -> None:
    values = read_inputs()
    peak = values["worker"] * values["used"]
    text = " ".join(PAGE.split())
    assert f"a peak of {peak:,.0f} calls a second" in text
    assert f"{peak / values['peak'] * 86400 / 1e6:.0f} million calls a day" in text
    assert compute_column(100)["sinks"] == 1 < compute_column(1000)["sinks"], (
        "at 1,000 times the load one sink is not enough"
    )
    assert compute_column(1000)["workers"] <= values["partitions"]
    assert f"takes {values['calls'] * 365 / values['worker'] / 3600:.1f} hours" in text
    mean = compute_column(100)["mean"] * (values["recorded"] + values["derived"]) / 1e6
    assert f"grow by {mean:.1f} MB a second, and {mean * values['peak']:.0f} MB at the peak" in text
