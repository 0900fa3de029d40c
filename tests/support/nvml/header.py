"""The C view of the state file, written from `layout`; the compiler checks sizes and offsets."""

import ctypes
from typing import Any

from support.nvml.calls import CALLS
from support.nvml.layout import LEVELS, MAGIC, RECORDS, SIZES, VERSION

_SCALARS = {
    ctypes.c_char: "char",
    ctypes.c_double: "double",
    ctypes.c_int32: "int32_t",
    ctypes.c_int64: "int64_t",
    ctypes.c_uint32: "uint32_t",
    ctypes.c_uint64: "uint64_t",
}


def header() -> str:
    """The text of `layout.h`."""
    lines = ["#pragma once", "#include <stddef.h>", "#include <stdint.h>"]
    lines += [f"#define STATE_MAGIC {MAGIC:#x}ULL", f"#define STATE_VERSION {VERSION}u"]
    lines += [f"#define STATE_{name} {size}" for name, size in SIZES.items()]
    lines += [f"enum level {{ {', '.join(f'LEVEL_{name.upper()}' for name in LEVELS)} }};"]
    lines += [f"enum call {{ {', '.join(f'CALL_{name}' for name in CALLS)} }};"]
    for record in RECORDS:
        lines += _struct(record)
    return "\n".join(lines) + "\n"


def _struct(record: type[ctypes.Structure]) -> list[str]:
    name = _struct_name(record)
    fields = [(field[0], field[1]) for field in record._fields_]
    lines = [f"{name} {{"]
    lines += [f"    {_declaration(field, kind)};" for field, kind in fields]
    lines += ["};", f'_Static_assert(sizeof({name}) == {ctypes.sizeof(record)}, "{name}");']
    for field, _ in fields:
        offset = getattr(record, field).offset
        lines.append(f'_Static_assert(offsetof({name}, {field}) == {offset}, "{field}");')
    return lines


def _declaration(field: str, kind: Any) -> str:
    if issubclass(kind, ctypes.Array):
        return _declaration(f"{field}[{kind._length_}]", kind._type_)
    return f"{_SCALARS.get(kind) or _struct_name(kind)} {field}"


def _struct_name(record: type) -> str:
    return f"struct {record.__name__.lower()}"
