"""The kinds of things that operations change."""

from enum import StrEnum


class Touch(StrEnum):
    """What a call changes for others or for good. Each row of the operation table declares one."""

    NOTHING = "nothing"
    """Reads, or puts something before the owner."""
    MINOR = "minor"
    """Changes what harms nobody and can be taken back: a start, a star, a reminder."""
    PRESENCE = "presence"
    """Shows others without words that somebody is there: a read mark, the typing sign."""
    SEND = "send"
    """Puts words before somebody; judged with its recipient and content."""
    GROUP = "group"
    """Makes or changes a group: its name and people are words to others."""
    PUBLISH = "publish"
    """Shows something to everybody: a story, the account's profile."""
    SETTINGS = "settings"
    WEBHOOK = "webhook"
    DELETE = "delete"
    LOGIN = "login"
    OWNER = "owner"
    """Answers for the owner: policy, approvals, keys. No agent may, whatever the policy."""


WORDS = {
    Touch.GROUP: "changing a group",
    Touch.PUBLISH: "showing something to everybody",
    Touch.SETTINGS: "changing settings",
    Touch.WEBHOOK: "changing where events go",
    Touch.DELETE: "deleting",
    Touch.LOGIN: "changing the login",
}
