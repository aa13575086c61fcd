"""Time that passes only when it is told to: an hour's wait of a simulated run takes no time at all."""

from __future__ import annotations


class SimulatedClock:
    """The port `Clock`, by hand; both readings go on together."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._epoch = now
        self._passed = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._epoch + self._passed

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._passed

    def advance(self, seconds: float) -> None:
        """Lets so much time pass, 0 or more."""
        assert seconds >= 0, "time does not go back"
        self._passed += seconds
