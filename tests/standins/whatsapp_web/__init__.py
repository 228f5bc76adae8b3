"""A local web.whatsapp.com: the page that whatsapp-web.js drives, and the server behind it, with phones that a test scripts.

    async with WhatsAppStandIn() as whatsapp:
        agent, ann = whatsapp.account("15550100", "Agent"), whatsapp.account("15550101", "Ann")
        agent.scan(qr)
        ann.writes(agent, "hello")

It is what the library needs of WhatsApp Web and no more: a module it asks for that is not there fails the test by name.
"""

from tests.standins.whatsapp_web.accounts import Account
from tests.standins.whatsapp_web.posts import Group, Post
from tests.standins.whatsapp_web.server import WhatsAppStandIn

__all__ = ["Account", "Group", "Post", "WhatsAppStandIn"]
