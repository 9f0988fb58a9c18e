"""The transport that all channels share: one deadline for a message, whatever its receiver does."""

import asyncio
import time

from alerting.channels.channel import Answer, Mail
from alerting.channels.http import send_request
from alerting.channels.network import Network
from alerting.channels.registry import CHANNELS
from alerting.channels.smtp import send_mail
from alerting.messages import Message
from alerting.routes import Route
from alerting.wording import Context

DEADLINE_S = 10.0
"""All that one delivery may take, whatever its receiver does: lookup, connection, TLS, request and headers."""

NOTHING_TO_SEND = "this channel has no such message"


def send(route: Route, message: Message, context: Context) -> Answer:
    """Send one message and wait for the answer, for a command."""
    return asyncio.run(deliver(route, message, context, Network(DEADLINE_S)))


async def deliver(route: Route, message: Message, context: Context, network: Network) -> Answer:
    """Send one message. Where it takes several requests, the first that is not accepted is the answer.

    Every failure is an answer: that of one receiver, or a message that cannot be rendered, must not end the deliveries
    to others. Only the kind of an error is kept, since its text may hold the address."""
    answer = Answer(True, False, NOTHING_TO_SEND)
    try:
        async with asyncio.timeout(DEADLINE_S):
            for request in CHANNELS[route.channel](message, route, context, time.time()):
                sending = send_mail(request, network) if isinstance(request, Mail) else send_request(request, network)
                answer = await sending
                if not answer.delivered:
                    break
    except TimeoutError:
        return Answer(False, False, f"no answer within {DEADLINE_S:.0f} s")
    except Exception as error:  # noqa: BLE001 see above
        return Answer(False, False, f"no answer ({type(error).__name__})")
    finally:
        await network.close()
    return answer
