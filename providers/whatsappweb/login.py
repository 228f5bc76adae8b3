"""The codes that a person logs in with."""

from datetime import UTC, datetime, timedelta

from providers.events import Need, QrCode, StateChanged
from providers.states import InstanceState

FIRST_LASTS = timedelta(seconds=60)
NEXT_LASTS = timedelta(seconds=20)

PAIRING_CODE_LASTS = timedelta(seconds=180)
"""The library asks for the next one after as long."""

_PASSKEY = (
    "WhatsApp wants a passkey for this account, which a server cannot show. Link another number, or remove the passkey in the phone's settings."
)


class Login:
    """Numbers the QR codes of one start."""

    def __init__(self) -> None:
        self._sequence = 0
        self.reason: str | None = None
        """Why a code is shown, where that is not plain."""
        self._is_first = True
        self._qr: QrCode | None = None
        self._pairing_code: str | None = None
        self._pairing_code_until = datetime.min.replace(tzinfo=UTC)

    def page_loaded(self) -> None:
        """A new page knows no code of the one before it."""
        self._is_first = True
        self._pairing_code = None

    def idle(self) -> None:
        """A page that had become idle shows its first QR code for longer. A pairing code stays valid."""
        self._is_first = True

    def qr(self, content: str) -> StateChanged:
        self._sequence += 1
        lasts = FIRST_LASTS if self._is_first else NEXT_LASTS
        self._is_first = False
        now = datetime.now(UTC)
        self._qr = QrCode(content=content, sequence=self._sequence, issued_at=now, expires_at=now + lasts)
        return self._state()

    def pairing_code(self, code: str) -> StateChanged:
        self._pairing_code = f"{code[:4]}-{code[4:]}" if len(code) == 8 else code
        self._pairing_code_until = datetime.now(UTC) + PAIRING_CODE_LASTS
        return self._state()

    def passkey(self) -> StateChanged:
        return self._state().model_copy(update={"needs": Need.PASSKEY, "reason": _PASSKEY})

    def _state(self) -> StateChanged:
        if self._pairing_code is None or datetime.now(UTC) > self._pairing_code_until:
            return StateChanged(state=InstanceState.QR_READY, reason=self.reason, needs=Need.QR, qr=self._qr)
        # Both are shown together, so the QR code may not end before the pairing code does.
        until = self._pairing_code_until
        qr = self._qr and self._qr.model_copy(update={"expires_at": max(self._qr.expires_at, until)})
        return StateChanged(state=InstanceState.QR_READY, reason=self.reason, needs=Need.PAIRING_CODE, qr=qr, pairing_code=self._pairing_code)
