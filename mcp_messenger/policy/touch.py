"""The kinds of things that operations change."""

from enum import StrEnum


class Touch(StrEnum):
    """What a call changes for others or for good. Each row of the operation table declares one."""

    NOTHING = "nothing"
    """Reads, or changes what does no harm: a read mark, the typing sign, a start."""
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
