"""Write an alert in the form of Slack's incoming webhooks (pure)."""

import json

from alerting.messages import Message, render_sentence


def render_slack(message: Message, dashboards: str | None) -> bytes:
    """Render the body of Slack's incoming webhooks, with a link to the page where the dashboards' address is known."""
    text, page = render_sentence(message)
    link = f" <{dashboards}/{page}|look>" if dashboards and page else ""
    return json.dumps({"text": text + link}, ensure_ascii=False).encode()
