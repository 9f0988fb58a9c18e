"""The receiver of the README verifies what we send."""

import re
import time
from pathlib import Path

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from alerting import routes
from alerting.channels.webhook import render_standard, sign_message
from alerting.messages import create_test_message
from alerting.wording import Context

README = Path(__file__).parents[2] / "alerting" / "README.md"


def test_the_receiver_of_the_readme_verifies(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    secret = routes.set_webhook(tmp_path, "acme", "http://host/x", "webhook").secret
    body = render_standard(create_test_message("acme", "test-1", 0), Context())
    now = int(time.time())
    exec(program, {"secret": secret, "body": body, "headers": sign_message(secret, "test-1", now, body)})
    for spoilt in (
        sign_message(secret, "test-2", now, body) | {"webhook-id": "test-1"},
        sign_message(secret, "test-1", now - 600, body),
    ):
        with pytest.raises(WebhookVerificationError):
            exec(program, {"secret": secret, "body": body, "headers": spoilt})
