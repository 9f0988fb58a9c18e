"""Messages as mails: those of one alert are a thread, since each refers to the alert's id (pure)."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from alerting.channels.channel import Mail
from alerting.channels.pagerduty import find_incident_key
from alerting.messages import OPENING, Message
from alerting.routes import Route
from alerting.wording import Context, describe, find_link, list_facts, name_plainly

DOMAIN = "tallystick.invalid"
"""The part of a message's id behind the sign: a name that nobody can own (RFC 6761)."""


def render(message: Message, route: Route, context: Context, now_s: float) -> tuple[Mail, ...]:
    """Render a mail in plain text."""
    parts = urlsplit(route.address)
    recipient = unquote(parts.path.strip("/"))
    sender = parse_qs(parts.query).get("from", [unquote(parts.username or "")])[0]
    sender = sender if "@" in sender else recipient
    wording = describe(message, name_plainly)
    link = find_link(wording, context)
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = sender, recipient
    mail["Subject"] = _write_subject(message)
    mail["Date"] = format_datetime(datetime.fromtimestamp(now_s, UTC))
    thread = _write_id(find_incident_key(message))
    if message.type in OPENING:
        mail["X-Priority"] = "1"
    mail["Message-ID"] = _write_id(message.id)
    mail["In-Reply-To"] = mail["References"] = thread
    mail["Auto-Submitted"] = "auto-generated"
    facts = [f"{name}: {name_plainly(value)}" for name, value in list_facts(message, context)]
    mail.set_content("\n\n".join(filter(None, (f"{wording.title}: {wording.sentence}", "\n".join(facts), link))))
    server = urlunsplit((parts.scheme, parts.netloc, "", "", ""))
    return (Mail(server, sender, recipient, mail.as_bytes()),)


def _write_subject(message: Message) -> str:
    """Write a subject that all messages of an alert have, since readers thread by it too."""
    organization = name_plainly(message.organization)
    if message.alert is None:
        return f"[Tallystick] {describe(message, name_plainly).title}: {organization}"
    agent = name_plainly(message.data.get("agent", message.data["session"]))
    return f"[Tallystick] Runaway {agent}: {organization}"


def _write_id(name: str) -> str:
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "-" for letter in name)
    return f"<{safe}@{DOMAIN}>"
