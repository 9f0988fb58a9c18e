"""Every channel, whatever its receiver does: each message is delivered once, or shown as undelivered."""

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from alerting import channels
from alerting.channels import http, transport
from alerting.channels.registry import CHANNELS
from alerting.routes import CHANNELS as NAMES
from alerting.routes import Channel
from tests.alerting.build import ALERT, Story, telling_story
from tests.alerting.channels.hostile import HostileReceiver, MailServer, drip
from tests.alerting.conftest import Receiver

OVER_HTTP = [name for name in NAMES if name != "email"]
PATHS = {"webhook": "/hook", "slack": "/services/x", "pagerduty": "/v2/enqueue", "teams": "/workflows/x"}


class Peer(NamedTuple):
    """The receiver of a channel, over HTTP or as a mail server."""

    channel: Channel
    receiver: Receiver
    mail: MailServer

    def address(self, host: str | None = None) -> str:
        if self.channel == "email":
            return self.mail.address if host is None else f"smtp://{host}/ann@example.com"
        key = "KEY@" if self.channel in ("pagerduty", "opsgenie") else ""
        return f"http://{key}{host or self.receiver.host}{PATHS.get(self.channel, '')}"

    def fail(self, attempts: int) -> None:
        """Refuse so many messages, and take those after them."""
        self.receiver.status = lambda number: 503 if number <= attempts else 202
        self.mail.status = lambda number: 451 if number <= attempts else 250

    def attempts(self) -> int:
        return self.mail.attempts if self.channel == "email" else len(self.receiver.taken)

    def taken(self) -> list[tuple[str, str]]:
        """Channel-neutral: what each taken message is about, and what it says of it."""
        if self.channel == "email":
            return [(str(mail["References"]), "") for mail in self.mail.mails]
        return [READ[self.channel](json.loads(body)) for body in self.receiver.bodies()]


def read_slack(body: dict[str, Any]) -> tuple[str, str]:
    (alert,) = [
        fact["text"].split("\n")[1] for fact in body["blocks"][1]["fields"] if fact["text"].startswith("*Alert*")
    ]
    return alert, body["text"].split("*")[1]


def read_card(body: dict[str, Any]) -> tuple[str, str]:
    content = body["attachments"][0]["content"]["body"]
    (alert,) = [fact["value"].replace("\\", "") for fact in content[2]["facts"] if fact["title"] == "Alert"]
    return alert, content[0]["text"]


READ: dict[str, Callable[[Any], tuple[str, str]]] = {
    "webhook": lambda body: (body["data"]["alert"], body["type"]),
    "slack": read_slack,
    "pagerduty": lambda body: (body["dedup_key"], body["event_action"]),
    "opsgenie": lambda body: (body.get("alias", ""), body.get("priority", "")),
    "teams": read_card,
    "alertmanager": lambda body: (body[0]["labels"]["alert"], body[0]["labels"]["severity"]),
}


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    with telling_story(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def mail_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    server = MailServer(tmp_path_factory.mktemp("mail"))
    yield server
    server.close()


@pytest.fixture
def peer(
    request: pytest.FixtureRequest, receiver: Receiver, mail_server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> Peer:
    trusted = ssl.create_default_context(cafile=str(mail_server.certificate))
    monkeypatch.setattr(http, "tls_context", lambda: trusted)
    mail_server.mails, mail_server.attempts, mail_server.drips, mail_server.offers_tls = [], 0, False, True
    made = Peer(request.param, receiver, mail_server)
    made.fail(0)
    return made


every_channel = pytest.mark.parametrize("peer", NAMES, indirect=True)
over_http = pytest.mark.parametrize("peer", OVER_HTTP, indirect=True)


def test_every_channel_is_a_file_and_stands_in_the_list() -> None:
    folder = Path(channels.__path__[0])
    modules = {path.stem for path in folder.glob("*.py") if "\ndef render(" in path.read_text()}
    assert CHANNELS.keys() == modules == set(NAMES)


@every_channel
def test_a_message_is_delivered_once_and_is_about_its_alert(peer: Peer, story: Story) -> None:
    story.route(peer.channel, peer.address())
    story.alert("raised")
    story.step()
    story.step(600)
    ((about, _),) = peer.taken()
    assert ALERT in about and story.states() == [("raised", "delivered")]


@every_channel
def test_an_outage_of_five_hours_delays_a_message_and_loses_none(peer: Peer, story: Story) -> None:
    """It is tried again, ever less often, and delivered once; meanwhile it is shown as pending."""
    peer.fail(7)
    story.route(peer.channel, peer.address())
    story.alert("raised")
    for _ in range(5 * 60):
        story.step(1)
    assert peer.attempts() >= 7 and story.shown()[0].attempts == peer.attempts()
    for _ in range(3 * 60):
        story.step(1)
    assert peer.attempts() == 8 and story.states() == [("raised", "delivered")]


@every_channel
def test_what_is_refused_for_a_day_is_shown_as_undelivered(peer: Peer, story: Story) -> None:
    peer.fail(1_000)
    story.route(peer.channel, peer.address())
    story.alert("raised")
    for _ in range(40):
        story.step(60)
    (delivery,) = story.shown()
    assert (delivery.state, delivery.attempts) == ("given up", 11)
    assert delivery.said == ("SMTP 451" if peer.channel == "email" else "HTTP 503")


@every_channel
def test_a_receiver_that_is_not_there_is_shown(peer: Peer, story: Story) -> None:
    story.route(peer.channel, peer.address("127.0.0.1:9"))
    story.alert("raised")
    story.step()
    (delivery,) = story.shown()
    assert delivery.state == "pending" and delivery.said == "no answer (ConnectError)"


@every_channel
def test_one_that_drips_ends_with_the_deadline_and_holds_up_nobody(
    peer: Peer, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "DEADLINE_S", 1.0)
    content = b"220-slow\r\n" if peer.channel == "email" else b"HTTP/1.1 200 OK\r\n"
    dripping = HostileReceiver(lambda connection: drip(connection, content, 0.3))
    slow = story.route(peer.channel, peer.address(dripping.url.removeprefix("http://").removesuffix("/hook")))
    prompt = story.route("webhook", peer.receiver.url)
    story.alert("raised")
    story.step()
    dripping.close()
    assert story.states(slow) == [("raised", "pending")] and story.states(prompt) == [("raised", "delivered")]
    assert "no answer within 1 s" in {delivery.said for delivery in story.shown()}


@over_http
@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_asks_for_time_gets_it(peer: Peer, story: Story, status: int) -> None:
    """Also new messages wait, as they are for the receiver that is overloaded."""
    peer.receiver.status = lambda number: status if number == 1 else 202
    peer.receiver.headers = {"Retry-After": "600"}
    story.route(peer.channel, peer.address())
    story.alert("raised")
    story.step()
    story.alert("raised", "a-2")
    story.step(9)
    assert peer.attempts() == 1 and story.states() == [("raised", "pending")] * 2
    story.step(1)
    assert peer.attempts() == 3 and story.states() == [("raised", "delivered")] * 2


@over_http
@pytest.mark.parametrize("value", ["soon", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", "٣", ""])
def test_a_time_that_is_none_changes_nothing(peer: Peer, story: Story, value: str) -> None:
    peer.receiver.status = lambda number: 429 if number == 1 else 202
    peer.receiver.headers = {"Retry-After": value.encode("utf-8").decode("latin-1")}
    story.route(peer.channel, peer.address())
    story.alert("raised")
    story.step()
    story.step(1)
    assert peer.attempts() == 2 and story.states() == [("raised", "delivered")]


@over_http
def test_a_redirect_is_an_answer_and_no_address(peer: Peer, story: Story) -> None:
    peer.receiver.status = lambda number: 307
    peer.receiver.headers = {"Location": "/elsewhere"}
    story.route(peer.channel, peer.address())
    story.alert("raised")
    story.step()
    (delivery,) = story.shown()
    assert peer.attempts() == 1 and (delivery.state, delivery.said) == ("pending", "HTTP 307")


@pytest.mark.parametrize("peer", ["email"], indirect=True)
def test_no_mail_goes_to_a_server_without_tls(peer: Peer, story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    peer.mail.offers_tls = False
    story.route("email", peer.address())
    story.alert("raised")
    story.step()
    assert story.shown()[0].said == "no STARTTLS"
    peer.mail.offers_tls = True
    monkeypatch.setattr(http, "tls_context", ssl.create_default_context)  # which does not know its certificate
    story.step(1)
    assert story.shown()[0].said == "no answer (ConnectError)" and peer.mail.attempts == 0


@pytest.mark.parametrize("peer", ["email"], indirect=True)
def test_a_wrong_password_is_an_answer(peer: Peer, story: Story) -> None:
    story.route("email", peer.address().replace("secret", "other"))
    story.alert("raised")
    story.step()
    assert story.shown()[0].said == "SMTP 535" and peer.mail.attempts == 0


@pytest.mark.parametrize("peer", ["email"], indirect=True)
def test_the_mails_of_an_alert_are_a_thread(peer: Peer, story: Story) -> None:
    story.route("email", peer.address())
    story.alert("raised", agent="a\r\nBcc: eve@example.com")
    story.step()
    story.alert("resolved", agent="a\r\nBcc: eve@example.com", reason=".\n.")
    story.step()
    first, second = peer.mail.mails
    assert first["References"] == second["References"] == f"<{ALERT}@tallystick.invalid>"
    assert first["Message-ID"] != second["Message-ID"] and first["Subject"] == second["Subject"]
    assert (first["To"], first["From"], first["Bcc"]) == ("oncall@example.com", "tally@example.com", None)
    assert "Severity: warning" in first.get_content()  # type: ignore[attr-defined]
