"""For whom a request counts, and what they may take."""

from dataclasses import dataclass

from hostler.config import Settings
from hostler.keys import CallerLimits
from hostler.server.principal import Principal

_NO_LIMITS = CallerLimits()
_LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrent_requests", "queued_requests")


@dataclass(frozen=True)
class Counted:
    """One caller, one address or all of them."""

    id: str
    description: str
    """As errors name it."""
    prefix: str
    """Of the settings that hold for it."""
    limits: CallerLimits


class Counting:
    """The settings' limits, put together with those of keys."""

    def __init__(self, settings: Settings) -> None:
        self._caller = _limits(settings, "")
        self._address = _limits(settings, "address_")
        self._total = _limits(settings, "total_")

    def of(self, principal: Principal) -> list[Counted]:
        """The narrowest first; those without a limit are left out."""
        found = [
            Counted(principal.caller_id, "this caller", "", self._limits_of(principal)),
            Counted(f"at:{principal.address}", "this address", "address_", self._address),
            Counted("total", "all callers", "total_", self._total),
        ]
        return [one for one in found if one.limits != _NO_LIMITS]

    def _limits_of(self, principal: Principal) -> CallerLimits:
        if principal.key is None or principal.key.limits == _NO_LIMITS:
            return self._caller
        own = {name: value for name, value in vars(principal.key.limits).items() if value is not None}
        return CallerLimits(**{**vars(self._caller), **own})


def _limits(settings: Settings, prefix: str) -> CallerLimits:
    return CallerLimits(**{name: getattr(settings, prefix + name) for name in _LIMITS})
