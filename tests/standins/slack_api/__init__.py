"""A local Slack: Web API, Socket Mode, signed event calls and files, strict about what it is asked, and with Slack's own words when it refuses.

async with SlackStandIn() as slack:
    ann = slack.person("Ann")
    slack.user_writes(slack.direct(ann), "hello", by=ann)
"""

from tests.standins.slack_api.server import SlackStandIn

__all__ = ["SlackStandIn"]
