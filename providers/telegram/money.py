"""Sums of money, which the Bot API gives in the smallest unit of a currency."""

from decimal import Decimal

STARS = "XTR"
_DECIMALS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    "TON": 9,
}
"""Of the currencies that have not two (ISO 4217; TON counts in nanograms)."""


def sum_of(currency: str, total: int) -> str:
    """Return a sum with its decimals and its currency."""
    return stars(total) if currency == STARS else f"{Decimal(total).scaleb(-_DECIMALS.get(currency, 2)):f} {currency}"


def stars(count: int) -> str:
    """Return a number of Telegram Stars."""
    return "1 Telegram Star" if count == 1 else f"{count} Telegram Stars"
