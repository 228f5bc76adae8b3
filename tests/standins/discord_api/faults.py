"""What a test makes go wrong with a coming call, named as in Discord's description of its API."""

from typing import Any, Literal

from tests.standins.faults import Answer, Drop, Fault, Hold


class Faults:
    def __init__(self) -> None:
        self.coming: list[Fault] = []

    def fail_next(self, call: str, status: int = 500, body: dict[str, Any] | str = "", headers: dict[str, str] | None = None) -> None:
        self.coming.append(Answer(call, status, body, headers or {}))

    def flood_next(self, call: str, retry_after: float, scope: Literal["user", "global", "shared"] = "user") -> None:
        body = {"message": "You are being rate limited.", "retry_after": retry_after, "global": scope == "global"}
        self.fail_next(call, 429, body, {"Via": "1.1 google", "Retry-After": str(int(retry_after)), "X-RateLimit-Scope": scope})

    def shut_out_next(self, call: str, retry_after: int) -> None:
        """As Cloudflare does it, which is in front of Discord."""
        self.fail_next(call, 429, "<html>error code: 1015</html>", {"Retry-After": str(retry_after)})

    def drop_next(self, call: str, when: Literal["before", "after"]) -> None:
        self.coming.append(Drop(call, when))

    def hold_next(self, call: str) -> Hold:
        hold = Hold(call)
        self.coming.append(hold)
        return hold

    def take(self, call: str) -> Fault | None:
        fault = next((fault for fault in self.coming if fault.call == call), None)
        if fault is not None:
            self.coming.remove(fault)
        return fault
