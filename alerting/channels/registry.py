"""The channels, a file each: the one list of them."""

from collections.abc import Mapping

from alerting.channels import alertmanager, email, opsgenie, pagerduty, slack, teams, webhook
from alerting.channels.channel import Render
from alerting.routes import Channel

CHANNELS: Mapping[Channel, Render] = {
    "webhook": webhook.render,
    "slack": slack.render,
    "pagerduty": pagerduty.render,
    "opsgenie": opsgenie.render,
    "teams": teams.render,
    "email": email.render,
    "alertmanager": alertmanager.render,
}
