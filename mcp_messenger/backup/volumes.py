"""Logins of instances in containers: each is in a volume of the container engine, and is read and written as a tar archive."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from uuid import UUID


class Volumes(ABC):
    """The volumes of one installation. All methods block, and raise EngineAway and EngineRefused."""

    @abstractmethod
    def listing(self) -> Sequence[UUID]:
        """Return the instances that have a volume."""

    @abstractmethod
    def read(self, instance_id: UUID) -> Generator[bytes]:
        """Give the volume's content as a tar archive, in pieces."""

    @abstractmethod
    def write(self, instance_id: UUID, content: Iterable[bytes], *, replace: bool) -> bool:
        """Put such an archive back; return False where there is a volume already, and it is not to be replaced."""


VolumesOf = Callable[[UUID], Volumes]
"""Gives the volumes of the installation with this id."""
