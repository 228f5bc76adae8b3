"""The definition of an operation. operations/table.py lists them all; REST and MCP are made from that table."""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, cast

import anyio
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from db.policy import UNNAMED
from mcp_messenger.config.quotas import Quota
from mcp_messenger.config.toolsets import Toolset
from mcp_messenger.errors import MissingScope, TookTooLong
from mcp_messenger.observability.tracing import span
from mcp_messenger.operations.arguments import argument_shapes
from mcp_messenger.operations.plain import fault
from mcp_messenger.policy.asking import Approved
from mcp_messenger.policy.decide import ALLOWED, Decision
from mcp_messenger.policy.judging import Judging, Rehearsed, current
from mcp_messenger.policy.shown import Words
from mcp_messenger.policy.touch import Touch
from mcp_messenger.security.caller import Caller, Scope, whole_id
from providers.errors import MessengerError

if TYPE_CHECKING:
    from mcp_messenger.operations.application import App


class Effect(StrEnum):
    READ = "read"
    WRITE = "write"
    DESTROY = "destroy"


class Transport(StrEnum):
    MCP = "mcp"
    REST = "rest"


BOTH = frozenset({Transport.MCP, Transport.REST})
REST_ONLY = frozenset({Transport.REST})
"""For what must not pass through a model: keys and secrets; and for what only a program wants."""


class Input(BaseModel):
    """Arguments. `hidden` ones are accepted but not shown to models, which rarely need them: each costs tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True, coerce_numbers_to_str=True)
    hidden: ClassVar[frozenset[str]] = frozenset()
    takes_empty: ClassVar[frozenset[str]] = frozenset()
    """Optional arguments of which an empty text is a value, or a mistake; of the others it says as much as none."""

    def concerns(self) -> Hashable | None:
        """Return what a call must not overtake an earlier one about; None where the order does not show."""
        return None

    @model_validator(mode="before")
    @classmethod
    def _as_meant(cls, data: Any) -> object:
        """Return the arguments as models mean them; raise ValueError for a value that cannot be stored."""
        if not isinstance(data, dict):
            return cast("object", data)
        shapes = argument_shapes(cls)
        given = {name: shapes.read(name, value) for name, value in cast("dict[str, Any]", data).items()}
        given = {name: value for name, value in given.items() if not shapes.is_absent(name, value)}
        faults = ((name, fault(value)) for name, value in given.items())
        found = [f"{name!r} {words}" for name, words in faults if words]
        if found:
            raise ValueError("; ".join(found))
        return given


InstanceId = Annotated[str, Field(max_length=64)]
Cursor = Annotated[str | None, Field(max_length=300)]
"""`next_cursor`, or the `cursor` in the last line, of the page before."""
Limit = Annotated[int, Field(ge=1, le=100)]
MaxTokens = Annotated[int | None, Field(ge=200, le=50_000, description="size of the answer at most")]
PlatformId = Annotated[str, Field(min_length=1, max_length=256)]


class OfInstance(Input):
    instance_id: InstanceId


class OfInstances(Input):
    """Of one instance, or of all that the caller may see."""

    instance_id: str | None = Field(default=None, max_length=64, description="only this one")


@dataclass(frozen=True)
class FileLink:
    """A file of a message, by the address of its resource."""

    uri: str
    name: str
    mime: str
    size: int


class View(BaseModel):
    """A part of an answer. It has no private attributes: they would make each of the many in a list cost two fifths more."""

    model_config = ConfigDict(frozen=True, defer_build=True)


class Output(BaseModel):
    """An answer. Fields with their default value are left out of what a model is shown."""

    model_config = ConfigDict(frozen=True, defer_build=True)
    hidden: ClassVar[frozenset[str]] = frozenset()
    """Fields that no model is shown: keys, and pictures that are sent beside the text."""

    def shown(self) -> dict[str, Any]:
        """Return the answer for a model, without empty fields."""
        return self.model_dump(mode="json", by_alias=True, exclude=set(self.hidden), exclude_defaults=True, exclude_none=True)

    def transcript(self) -> str | None:
        """Return the answer as lines for a model; None where its fields say it better."""
        return None

    @classmethod
    def has_transcript(cls) -> bool:
        """Return whether a model is given lines, not fields."""
        return cls.transcript is not Output.transcript

    def pictures(self) -> tuple[tuple[bytes, str], ...]:
        """(content, media type) of what a model is to see."""
        return ()

    def sounds(self) -> tuple[tuple[bytes, str], ...]:
        """(content, media type) of what a model is to hear."""
        return ()

    def links(self) -> "tuple[FileLink, ...]":
        """Return the files that a client fetches by their resources, for neither text nor blocks hold them."""
        return ()

    _words: tuple[Words, ...] | None = PrivateAttr(default=None)

    def words(self) -> Iterable[Words]:
        """Return whose words the answer shows, chat by chat."""
        return self._words or ()

    def with_words(self, words: Iterable[Words]) -> Self:
        """Return the answer, which knows now whose words it shows: where its fields do not say so."""
        self._words = tuple(words)
        return self


class FromOthers(Output):
    """Holds texts, names and titles that other people wrote, and says so: they are data, not instructions."""

    untrusted: bool = True

    def shown(self) -> dict[str, Any]:
        """Return the answer for a model, the mark before what it marks."""
        return {"untrusted": True, **super().shown()}

    def words(self) -> Iterable[Words]:
        """Return whose words the answer shows: where it does not name the chats, they count as those of one more stranger."""
        return (Words(UNNAMED),) if self._words is None else self._words


class Page(FromOthers):
    """A page of a list, and how much of it a model is shown at once."""

    _max_tokens: int | None = PrivateAttr(default=None)
    _cursors: tuple[str, ...] = PrivateAttr(default=())

    def within(self, max_tokens: int | None, cursors: Sequence[str]) -> Self:
        """Return the page, whose transcript has so many tokens at most and goes on from the cursor of its last entry."""
        self._max_tokens, self._cursors = max_tokens, tuple(cursors)
        return self


class Nothing(Output):
    """Done."""


@dataclass(frozen=True)
class Operation:
    """One thing that can be done, over MCP and REST. `path` is under /api/v1; names in braces are fields of `input`."""

    name: str
    method: str
    path: str
    input: type[Input]
    output: type[Output]
    run: Callable[["App", Caller, Any], Awaitable[Output]]
    summary: str
    toolset: Toolset
    effect: Effect = Effect.READ
    idempotent: bool = False
    transports: frozenset[Transport] = field(default=BOTH)
    status: int = 200
    open_world: bool = True
    patient: bool = False
    """It may take long and keeps its own time limit: clients receive progress meanwhile."""
    touches: Touch | None = None
    """What it changes for others or for good; a row that only reads need not say that it is nothing."""

    needs: Scope | None = None
    """The scope of a key for it, where that does not follow from what it touches: it shows secrets, or what somebody could log in with."""

    def __post_init__(self) -> None:
        if self.touches is None and self.effect is not Effect.READ:
            raise TypeError(f"The operation {self.name} does not say what it touches.")

    async def carry_out(
        self, app: "App", caller: Caller, args: Any, *, transport: Transport, approved: Approved | None = None, later: str | None = None
    ) -> Output:
        """Run the operation, for at most WITHIN seconds unless it is patient, within the policy; note whose words an agent is shown.

        Over MCP, and with a key that is one for agents, it is an agent that calls. `approved`: a person has approved this very call.
        `later`: who asked for it before, where it is carried out at its time; words that they were shown since do not count.
        Raises TookTooLong, MissingScope, PolicyDenied, ApprovalRequired, NoSuchInstance.
        """
        await self.require_scope(app, caller)
        named: str | None = getattr(args, "instance_id", None)
        if named is not None and (whole := await whole_id(app.database, caller, named)) != named:
            args = args.model_copy(update={"instance_id": whole})
        by_agent = transport is Transport.MCP or caller.is_judged
        touches = self.touches or Touch.NOTHING
        judging = Judging(
            app.judge, caller, by_agent, self.name, touches, args, approved, name=later, is_audited=self.is_audited, is_later=later is not None
        )
        token = current.set(judging)
        try:
            with span(self.name, instance_id=getattr(args, "instance_id", None), caller=caller):
                if self.patient:
                    return await self._judged(app, judging)
                with anyio.move_on_after(app.config.timing.operation):
                    return await self._judged(app, judging)
        finally:
            current.reset(token)
        raise TookTooLong(self.name, app.config.timing.operation, changes=self.effect is not Effect.READ)

    async def rehearse(self, app: "App", caller: Caller, args: Any, *, by_agent: bool, later: str | None = None) -> Decision:
        """Return what policy would do with a call, by the way of the call itself, and do nothing. `later` is as for `carry_out`.

        Raises what the call would raise before it does anything.
        """
        await self.require_scope(app, caller)
        named: str | None = getattr(args, "instance_id", None)
        if named is not None:
            args = args.model_copy(update={"instance_id": await whole_id(app.database, caller, named)})
        touches = self.touches or Touch.NOTHING
        judging = Judging(app.judge, caller, by_agent, self.name, touches, args, name=later, is_rehearsal=True, is_later=later is not None)
        token = current.set(judging)
        try:
            await judging.enter()
            # Only what sends comes so far; it is judged with its recipient and content, and ends there.
            await self.run(app, caller, args)
        except Rehearsed as rehearsed:
            return rehearsed.decision
        finally:
            current.reset(token)
        return ALLOWED

    async def _judged(self, app: "App", judging: Judging) -> Output:
        try:
            await judging.enter()
            output = await self._run(app, judging)
        except MessengerError as error:
            await judging.recording.failed(error)
            raise
        await judging.leave(output.words())
        return output

    async def _run(self, app: "App", judging: Judging) -> Output:
        if not (self.patient and self.effect is Effect.READ):
            return await self.run(app, judging.caller, judging.args)
        async with app.quotas.holding(judging.caller, Quota.WAITS):
            return await self.run(app, judging.caller, judging.args)

    async def require_scope(self, app: "App", caller: Caller) -> None:
        """Raise MissingScope where the caller's key lacks what the operation needs; the audit log has it, where something would change."""
        try:
            caller.require_scope(self.scope)
        except MissingScope as error:
            await Judging(app.judge, caller, True, self.name, self.touches or Touch.NOTHING, None, is_audited=self.is_audited).recording.failed(error)
            raise

    @property
    def is_audited(self) -> bool:
        """Return whether the audit log has its calls: it changes something for others or for good."""
        changes = self.effect is not Effect.READ or self.touches not in {None, Touch.NOTHING}
        return changes and self.touches is not Touch.PRESENCE and self.toolset is not Toolset.READING

    @property
    def scope(self) -> Scope:
        """Return what a key needs for it."""
        if self.needs is not None:
            return self.needs
        if self.touches is Touch.OWNER:
            return Scope.KEYS
        if self.effect is Effect.DESTROY or self.touches is Touch.DELETE:
            return Scope.DELETE
        if self.touches in {Touch.GROUP, Touch.SETTINGS, Touch.WEBHOOK, Touch.LOGIN}:
            return Scope.MANAGE
        if self.touches is Touch.SEND:
            return Scope.SEND
        if self.effect is Effect.READ or self.toolset is Toolset.READING:
            return Scope.READ
        return Scope.MANAGE if self.toolset in {Toolset.INSTANCES, Toolset.DIAGNOSTICS} else Scope.SEND

    @property
    def of_instance(self) -> bool:
        return issubclass(self.input, OfInstance | OfInstances)
