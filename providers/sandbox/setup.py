"""How a person adds a sandbox account."""

from providers.setup import Setup

SETUP = Setup(
    title="Sandbox",
    needs="nothing; it is inside this server, to try everything out",
    scan=("Open the chat page by the link beside the code.", "Press “Link this device”."),
    pair=("Open the chat page by the link beside the code.", "Open “Use a pairing code instead” there, and type the code."),
    then="Ann, Bob and Carol on the chat page are imaginary people, who answer by themselves.",
)
