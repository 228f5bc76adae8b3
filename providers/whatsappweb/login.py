"""The codes that a person logs in with."""

from datetime import UTC, datetime, timedelta

from providers.models import InstanceState, Need, QrCode, StateChanged

FIRST_LASTS = timedelta(seconds=60)
NEXT_LASTS = timedelta(seconds=20)

_PASSKEY = (
    "WhatsApp wants a passkey for this account, which a server cannot show. Link another number, or remove the passkey in the phone's settings."
)


class Login:
    """Numbers the QR codes of one start."""

    def __init__(self) -> None:
        self._sequence = 0
        self._is_first = True
        self._qr: QrCode | None = None
        self._pairing_code: str | None = None

    def begin(self) -> None:
        """A page that was loaded anew, or that had become idle, shows its first code for longer."""
        self._is_first = True
        self._pairing_code = None

    def qr(self, content: str) -> StateChanged:
        self._sequence += 1
        lasts = FIRST_LASTS if self._is_first else NEXT_LASTS
        self._is_first = False
        now = datetime.now(UTC)
        self._qr = QrCode(content=content, sequence=self._sequence, issued_at=now, expires_at=now + lasts)
        return self._state()

    def pairing_code(self, code: str) -> StateChanged:
        self._pairing_code = f"{code[:4]}-{code[4:]}" if len(code) == 8 else code
        return self._state()

    def passkey(self) -> StateChanged:
        return self._state().model_copy(update={"needs": Need.PASSKEY, "reason": _PASSKEY})

    def _state(self) -> StateChanged:
        needs = Need.QR if self._pairing_code is None else Need.PAIRING_CODE
        return StateChanged(state=InstanceState.QR_READY, needs=needs, qr=self._qr, pairing_code=self._pairing_code)
