"""The clocks of an episode on one axis."""

import re
from datetime import UTC, datetime, timedelta

from dashboards.components.timeline import Clock, render_timeline

START = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_clocks_stand_where_their_times_are_and_never_on_each_other() -> None:
    clocks = [
        Clock("Began", START),
        Clock("Detected <b>", START + timedelta(seconds=1)),
        Clock("Decided", START + timedelta(minutes=50)),
        Clock("Closed", START + timedelta(minutes=100)),
    ]
    html = render_timeline(clocks)
    assert re.findall(r"left:([\d.]+)%;bottom:([\d.]+)rem", html) == [
        ("0.00", "0"), ("0.02", "1.5"), ("50.00", "0"), ("100.00", "0"),
    ]  # fmt: skip
    assert "50 min later" in html and "Detected &lt;b&gt;" in html and "<b>Detected" not in html


def test_clocks_of_one_moment_are_stacked() -> None:
    html = render_timeline([Clock("Began", START), Clock("Detected", START), Clock("Closed", START)])
    assert re.findall(r"bottom:([\d.]+)rem", html) == ["0", "1.5", "3"]
