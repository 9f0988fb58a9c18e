"""Alerts reach their receivers, whatever dies: each at least once, signed, under one id, and none is invented."""

import random
import sqlite3
import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from standardwebhooks import Webhook as Reference
from standardwebhooks.webhooks import WebhookVerificationError

from alerting import routes
from ingest.controls.budgets import set_budget
from ledger.errors import TallyError
from ledger.log.open import open_log
from tests.alerting.conftest import Receiver, Telling
from tests.tally.conftest import eventually, invoke, tally


def sessions(receiver: Receiver, kind: str = "runaway.raised") -> list[str]:
    return [said["data"]["session"] for said in receiver.messages(kind)]


def test_alerts_and_crossings_are_told_signed_and_recorded(telling: Telling, receiver: Receiver) -> None:
    hook = telling.hook(receiver.url)
    telling.start("streams")
    telling.start("alerts")
    log = open_log(telling.settings)
    set_budget(log, telling.settings, "acme", "agent", "crawler", Decimal("0.0001"), "USD", 3600, "a test")
    log.close()
    telling.loops("s-1")
    eventually(lambda: sessions(receiver) == ["s-1"])
    eventually(lambda: len(receiver.messages("budget.threshold_crossed")) >= 1)
    eventually(lambda: telling.states() == {"delivered": len(receiver.taken)})
    reference = Reference(hook.secret)
    for headers, body in receiver.taken:
        reference.verify(body, headers)
        with pytest.raises(WebhookVerificationError):
            reference.verify(body + b" ", headers)
    assert len({headers["webhook-id"] for headers, _ in receiver.taken}) == len(receiver.taken)


def test_what_lies_behind_is_not_told(embedded: Telling, receiver: Receiver) -> None:
    embedded.start("streams")
    embedded.loops("before")
    time.sleep(0.01)  # the log counts in milliseconds
    embedded.hook(receiver.url)
    embedded.start("alerts")
    embedded.loops("after")
    eventually(lambda: sessions(receiver) == ["after"])
    assert sum(embedded.states().values()) == len(receiver.taken) == 1


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 21))])
def test_a_killed_deliverer_neither_loses_nor_invents(embedded: Telling, receiver: Receiver, seed: int) -> None:
    """Killed five times: between taking up and sending, between sending and recording, and whenever. One of its two
    routes refuses at first, and the other hears only of what nobody acknowledges at once."""
    chance = random.Random(seed)
    embedded.hook(receiver.url)
    embedded.route("slack", f"{receiver.url}/slack", after_s=1)
    receiver.status = lambda number: 500 if number % 3 == 0 else 204
    embedded.start("streams")
    wanted: list[str] = []
    for life in range(5):
        point = chance.choice(("alerts.taken", "alerts.sent", ""))
        embedded.start("alerts", **({"TALLY_FAULT": f"{point}:{chance.randint(1, 3)}"} if point else {}))
        some = [f"{life}-{number}" for number in range(chance.randint(1, 4))]
        wanted += some
        for one in some:
            embedded.loops(one)
        time.sleep(chance.uniform(0, 0.8))
        embedded.running["alerts"].kill()
        embedded.running["alerts"].wait()
    receiver.status = lambda number: 204
    embedded.start("alerts")

    def delivered() -> bool:
        make_due(embedded)
        return embedded.states() == {"delivered": 2 * len(wanted)}

    eventually(delivered)
    assert set(sessions(receiver)) == set(wanted)
    ids = {headers["webhook-id"] for headers, _ in receiver.taken if "webhook-id" in headers}
    assert len(ids) == len(wanted), f"seed {seed}"
    texts = [message["text"] for message in receiver.messages() if "text" in message]
    assert {name for name in wanted if any(f"`{name}`" in text for text in texts)} == set(wanted), f"seed {seed}"


def test_one_that_fails_is_tried_again_and_holds_up_nobody(embedded: Telling, receiver: Receiver) -> None:
    dead = embedded.hook("http://127.0.0.1:9/nobody", "beta")
    embedded.hook(receiver.url)
    receiver.status = lambda number: 500 if number == 1 else 204
    embedded.start("streams")
    embedded.start("alerts")
    embedded.loops("s-1")
    embedded.loops("b-1", organization="beta")
    eventually(lambda: sessions(receiver) == ["s-1", "s-1"])
    assert len({headers["webhook-id"] for headers, _ in receiver.taken}) == 1
    eventually(lambda: embedded.states() == {"delivered": 1, "pending": 1})
    done = invoke("alerts", "deliveries", TALLY_HOME=str(embedded.settings.home))
    assert "no answer (ConnectError)" in done.stdout and "HTTP 204" in done.stdout
    routes.remove_webhook(embedded.settings.home, dead.organization)
    make_due(embedded)
    eventually(lambda: embedded.states() == {"delivered": 1, "given up": 1})


def make_due(telling: Telling) -> None:
    with sqlite3.connect(telling.settings.home / "deliveries.db", timeout=30) as db:
        db.execute("UPDATE deliveries SET due_ms = 0 WHERE due_ms IS NOT NULL")
    db.close()


def test_after_a_day_it_is_given_up_and_shown(embedded: Telling, receiver: Receiver) -> None:
    embedded.hook(receiver.url)
    receiver.status = lambda number: 503
    embedded.start("streams")
    embedded.start("alerts")
    embedded.loops("s-1")

    def given_up() -> bool:
        make_due(embedded)
        return embedded.states() == {"given up": 1}

    eventually(given_up)
    assert len(receiver.taken) == 11


def test_a_receiver_that_is_gone_is_sent_nothing_more(embedded: Telling, receiver: Receiver) -> None:
    embedded.hook(receiver.url)
    receiver.status = lambda number: 410
    embedded.start("streams")
    embedded.start("alerts")
    embedded.loops("s-1")
    eventually(lambda: embedded.states() == {"given up": 1})
    eventually(lambda: routes.get_webhook(embedded.settings.home, "acme").gone is not None)
    embedded.loops("s-2")
    eventually(lambda: embedded.states() == {"given up": 2})
    assert len(receiver.taken) == 1
    done = tally("alerts", "webhooks", TALLY_HOME=str(embedded.settings.home))
    assert "its receiver said that it is gone (HTTP 410)" in done.stdout


def test_a_redirect_is_not_followed(embedded: Telling, receiver: Receiver) -> None:
    receiver.status = lambda number: 302
    embedded.hook(receiver.url)
    done = invoke("alerts", "test", "--organization", "acme", TALLY_HOME=str(embedded.settings.home))
    assert done.returncode == 1 and ": HTTP 302, not delivered" in done.stdout


def test_a_webhook_is_tried_from_the_command(embedded: Telling, receiver: Receiver) -> None:
    home = str(embedded.settings.home)
    made = tally("alerts", "webhook", receiver.url, "--organization", "acme", TALLY_HOME=home)
    assert made.returncode == 0 and made.stdout.startswith("whsec_")
    done = invoke("alerts", "test", "--organization", "acme", TALLY_HOME=home)
    assert done.returncode == 0 and ": HTTP 204, delivered" in done.stdout
    ((headers, body),) = receiver.taken
    Reference(made.stdout.strip()).verify(body, headers)
    assert made.stdout.strip() not in invoke("alerts", "webhooks", "--json", TALLY_HOME=home).stdout
    assert (embedded.settings.home / "routes.json").stat().st_mode & 0o777 == 0o600
    slack = invoke("alerts", "webhook", receiver.url, "--organization", "acme", "--format", "slack", TALLY_HOME=home)
    assert slack.returncode == 0
    assert invoke("alerts", "test", "--organization", "acme", TALLY_HOME=home).returncode == 0
    assert b'"text"' in receiver.taken[1][1] and "webhook-signature" not in receiver.taken[1][0]


@pytest.mark.parametrize(
    "url", ["", "ftp://host/x", "https://", "host/x", "http://host:0/", "http://ho st/", "http://host:x/", "h" * 3000]
)
def test_what_is_no_address_is_refused(embedded: Telling, url: str) -> None:
    with pytest.raises(TallyError, match="cannot be a webhook: write one such as https://host/path"):
        routes.set_webhook(embedded.settings.home, "acme", url, "webhook")


def test_moments_are_utc(embedded: Telling, receiver: Receiver) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    embedded.hook(receiver.url)
    done = invoke("alerts", "webhooks", "--json", TALLY_HOME=str(embedded.settings.home))
    assert f'"since": "{before:%Y-%m-%dT%H:}' in done.stdout
