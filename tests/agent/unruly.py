"""A counter as hardware keeps it: it wraps, is reset, freezes, vanishes and returns."""

from dataclasses import dataclass
from enum import Enum, auto

from hypothesis import strategies as st


class Trouble(Enum):
    """What may happen to a counter between two readings of it, besides that it counts."""

    NONE = auto()
    RESET = auto()
    FROZEN = auto()
    """The driver tells what it told before (lifespan)."""
    GONE = auto()


Event = tuple[int, Trouble]
"""What is counted until the next reading, and what happens to the counter."""

# Beyond 32 bits too, so that a counter may wrap more than once between two readings.
EVENTS: st.SearchStrategy[Event] = st.tuples(
    st.integers(0, 1000) | st.integers(0, 2**34), st.sampled_from(Trouble)
)


@dataclass
class UnrulyCounter:
    """Counts events; `happened` is how many there really were, `told_at` at the last true word."""

    value: int = 0
    bits: int = 32
    happened: int = 0
    told_at: int = 0
    _told: int | None = None

    def read_after(self, event: Event) -> int | None:
        """Let *event* happen, and return what the counter says then."""
        count, trouble = event
        self.happened += count
        self.value = 0 if trouble is Trouble.RESET else (self.value + count) % 2**self.bits
        if trouble is Trouble.GONE:
            return None
        if trouble is not Trouble.FROZEN or self._told is None:
            self._told = self.value
            self.told_at = self.happened
        return self._told
