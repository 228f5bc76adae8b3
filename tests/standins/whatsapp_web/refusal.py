"""WhatsApp's no, with the number it has for it."""


class Refusal(Exception):
    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


def no_such_user() -> Refusal:
    return Refusal(404, "No LID for user")


def not_yours() -> Refusal:
    return Refusal(403, "forbidden")
