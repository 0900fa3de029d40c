# SPDX-License-Identifier: Apache-2.0
"""Asks one GPU everything that it answers; what it refused once is not asked again (nvml.h)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pynvml

from railwatch_agent.sources.nvml.faults import DriverGoneError, Fault, fault_of, fault_of_code
from railwatch_agent.sources.nvml.questions import (
    CALLS,
    FIELDS,
    IN_PLACE_OF_FIELDS,
    IN_PLACE_OF_TOTALS,
    LINK_COUNT_FIELD,
    Field,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from railwatch_agent.sources.nvml.quantities import Quantity
    from railwatch_agent.sources.nvml.questions import Answer

# nvmlValueType_t → the member of the union that holds it.
_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
# What is not going to change for this process.
_FOR_GOOD = frozenset({Fault.REFUSED, Fault.DENIED, Fault.MISSING})
# NVML_NVLINK_MAX_LINKS of today; a driver that says more is not believed.
_MOST_LINKS = 36


class LostError(Exception):
    """The driver cannot reach the GPU any more."""


class Interview:
    """What is asked of the GPU behind *handle*; for one child's life.

    After `ask`, `values` holds what was answered, `failures` why an answer failed that may come
    later; `denied` names what this user may not know.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._fields = list(FIELDS)
        self._replaced: set[Quantity] = set()
        self._links: int | None = None
        self._calls = [list(alternatives) for alternatives in CALLS]
        self.values: dict[Quantity, float] = {}
        self.failures: dict[str, str] = {}
        self.denied: set[str] = set()

    def ask(self) -> None:
        """Ask everything once; raises LostError or DriverGoneError."""
        self.values, self.failures = {}, {}
        self._ask_fields(self._fields)
        for alternatives in self._calls:
            self._ask_call(alternatives)

    def attempt(self, name: str, call: Callable[[], Any]) -> tuple[Any, Fault | None]:
        """Return what *call* returns, or what is wrong; what may pass is a failure of *name*."""
        try:
            return call(), None
        except (pynvml.NVMLError, AttributeError) as error:
            fault = fault_of(error)
            self._note(name, fault, str(error))
            return None, fault

    def _note(self, name: str, fault: Fault, reason: str) -> None:
        if fault is Fault.LOST:
            raise LostError
        if fault is Fault.GONE:
            raise DriverGoneError(reason)
        if fault is Fault.DENIED:
            self.denied.add(name)
        elif fault is Fault.FAILED:
            self.failures[name] = reason

    def _ask_call(self, alternatives: list[Callable[[Any], Answer]]) -> None:
        while alternatives:
            call = alternatives[0]
            name = call.__name__.strip("_")
            found, fault = self.attempt(name, partial(call, self._handle))
            if fault not in _FOR_GOOD:
                if found is not None:
                    self.values.update(found)
                return
            del alternatives[0]

    def _ask_fields(self, fields: list[Field]) -> None:
        if not fields:
            return
        asked = [(field.number, field.scope) for field in fields]
        found, fault = self.attempt(
            "field values", lambda: pynvml.nvmlDeviceGetFieldValues(self._handle, asked)
        )
        if found is not None:
            refused = self._read(fields, found)
        else:
            refused = fields if fault in _FOR_GOOD else []
        if refused:
            self._fields = [field for field in self._fields if field not in refused]
            kept = {field.quantity for field in self._fields}
            # In their order, which is that of the exposition.
            gone = dict.fromkeys(f.quantity for f in refused if f.quantity not in kept)
            added = [field for quantity in gone for field in self._instead(quantity)]
            self._fields += added
            self._ask_fields(added)

    def _read(self, fields: list[Field], found: Any) -> list[Field]:
        """Take down what was answered, and return the fields that were refused."""
        sums: dict[Quantity, float] = {}
        incomplete, refused = set(), []
        for field, value in zip(fields, found, strict=True):
            code = value.nvmlReturn
            if code == pynvml.NVML_SUCCESS:
                number = getattr(value.value, _MEMBERS[value.valueType])
                sums[field.quantity] = sums.get(field.quantity, 0) + number
                continue
            fault = fault_of_code(code)
            self._note(field.quantity, fault, str(pynvml.NVMLError(code)))
            if fault in _FOR_GOOD:
                refused.append(field)
            else:
                # The sum over links without one of them would be a fall.
                incomplete.add(field.quantity)
        self.values.update((q, number) for q, number in sums.items() if q not in incomplete)
        return refused

    def _instead(self, quantity: Quantity) -> list[Field]:
        """Return the fields that tell in other ways what no field tells, or note a call that does.

        Once for each quantity: what is refused then is not there.
        """
        if quantity in self._replaced:
            return []
        self._replaced.add(quantity)
        call = IN_PLACE_OF_FIELDS.get(quantity)
        if call is not None:
            self._calls.append([call])
        if quantity not in IN_PLACE_OF_TOTALS:
            return []
        other, number = IN_PLACE_OF_TOTALS[quantity]
        self._replaced.add(other)
        return [Field(other, number, link) for link in range(self._count_links())]

    def _count_links(self) -> int:
        if self._links is None:
            found, _ = self.attempt(
                "NVLinks",
                lambda: pynvml.nvmlDeviceGetFieldValues(self._handle, [LINK_COUNT_FIELD])[0],
            )
            answered = found is not None and found.nvmlReturn == pynvml.NVML_SUCCESS
            self._links = min(found.value.uiVal, _MOST_LINKS) if answered else 0
        return self._links
