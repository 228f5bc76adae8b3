"""How a person adds a WhatsApp account."""

from providers.setup import Setup

SETUP = Setup(
    title="WhatsApp Web",
    needs="a phone with WhatsApp; unofficial, it may cost the number",
    steps=("WhatsApp does not allow programs to use WhatsApp Web and may block the number for good: take one that you can lose.",),
    scan=(
        "Open WhatsApp on the phone that has the account.",
        "iPhone: Settings, Linked devices. Android: the three dots at the top, Linked devices.",
        "Tap “Link a device”, and hold the phone's camera to this code.",
    ),
    pair=(
        "Open WhatsApp on the phone that has the account.",
        "iPhone: Settings, Linked devices. Android: the three dots at the top, Linked devices.",
        "Tap “Link a device”, then “Link with phone number instead”, and type the code.",
    ),
    then="Keep the phone switched on and online now and then: WhatsApp logs linked devices out that it has not seen for 14 days.",
)
