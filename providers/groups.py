"""Groups: their members, their settings and changes of both."""

from datetime import datetime

from providers.models import Contact, Upload
from providers.noun import Noun
from providers.text import Body, Line


class ParticipantResult(Noun):
    """The outcome for one person in a change of a group; `reason` says why it is not `ok`."""

    id: str
    ok: bool
    reason: Line | None = None


class Group(Noun):
    """A group and its members, as far as the platform shows them; `admins` are ids of participants."""

    id: str
    title: Line
    participants: tuple[Contact, ...] = ()
    admins: tuple[str, ...] = ()
    description: Body | None = None
    invite_link: str | None = None


class GroupChange(Noun):
    """A group after a change, and the outcome for each person."""

    group: Group
    results: tuple[ParticipantResult, ...] = ()


class GroupSettings(Noun):
    """Changes of a group besides its title and description; None leaves a setting as it is."""

    picture: Upload | None = None
    only_admins_write: bool | None = None
    only_admins_edit: bool | None = None
    """Whether only administrators may change the group's title, description and picture."""
    only_admins_add: bool | None = None


class JoinRequest(Noun):
    """A person who asks to be let into a group."""

    person: Contact
    at: datetime | None = None
