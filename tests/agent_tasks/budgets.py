"""What an everyday task of an agent may cost: calls, and tokens of their answers (o200k). The README's table is made of it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """`calls` and `tokens` are the most that a test lets pass."""

    task: str
    calls: int
    tokens: int


BUDGETS = {
    1: Budget("Log an account in by QR code, and tell the person how", 2, 420),
    2: Budget("Write to Ann by her name and have her answer, which comes in two messages", 1, 160),
    3: Budget("Answer the newest unanswered message of two accounts", 2, 300),
    4: Budget("Find a message among 2,000 in 60 chats, asked for in another form of the word", 1, 160),
    5: Budget("Read 300 messages of a group", 1, 5500),
    6: Budget("Send a file to a group", 1, 60),
    7: Budget("Repeat a send after a time-out, and notice an accidental repetition", 2, 160),
    8: Budget("Edit and delete an own message, and delete it again", 3, 20),
    9: Budget("React, take a thumbs-up for an answer, and see the own reaction", 3, 200),
    10: Budget("Tell three similar contacts apart by words of a name, and find one by a number", 2, 230),
    11: Budget("Write first to a number and to a user name, and to an id that does not exist", 3, 160),
    12: Budget("Send 9,000 characters", 1, 60),
    13: Budget("Read what to do where one is blocked, the reply window is closed, or nobody has the name", 3, 240),
    14: Budget("Wait for whatever comes on any account", 1, 130),
    15: Budget("Go on after a restart of the server: nothing missed, nothing twice", 1, 160),
    16: Budget("Look at a picture that somebody sent", 1, 120),
    17: Budget("See who is in a group and who may change it", 1, 110),
    18: Budget("Have a message sent tomorrow at nine, list it, take it back", 3, 230),
    19: Budget("Say why a Telegram account with a wrong token does not work, and see that a person has mended it", 2, 300),
    20: Budget("Remove an account, read its history, and ask to have it purged", 3, 400),
    21: Budget("Send five people five texts", 1, 320),
    22: Budget("Read what was said in a voice message", 1, 120),
    23: Budget("Forward a message with a file", 1, 60),
    24: Budget("Pin, archive and mute a chat, and see that it is so", 1, 140),
}
