"""A local Graph API: a WhatsApp number, a Facebook Page and an Instagram account, strict about what they are asked.

async with GraphStandIn() as graph:
    number = graph.add_number()
    ann = number.person("Ann")
    number.writes(ann, "hello")
"""

from tests.standins.graph_api.messaging import MessagingAccount
from tests.standins.graph_api.server import GraphStandIn
from tests.standins.graph_api.whatsapp import WhatsAppNumber

__all__ = ["GraphStandIn", "MessagingAccount", "WhatsAppNumber"]
