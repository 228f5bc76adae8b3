"""Meta's three messengers behind one Graph API: WhatsApp Business (Cloud API), Facebook Messenger and Instagram."""
