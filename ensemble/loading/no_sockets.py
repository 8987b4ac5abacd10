"""Takes from this process the making of sockets, of every kind: Landlock knows TCP's alone.

By a filter of system calls (seccomp), spoken to through ctypes. It is for good, and children inherit it.
"""

import ctypes
import errno
import platform
import sys

_SET_SECCOMP, _FILTER = 22, 2
# Of each machine: its mark in the kernel's auditing, and the number of `socket`.
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
# Asks for system calls, `socket` among them, past the filter.
_IO_URING_SETUP = 425
# Calls by the numbers of another convention (x32) start here.
_OTHER_CONVENTION = 0x40000000
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EACCES
# What a filter is told: the number of the call, then the machine's mark.
_NUMBER_AT, _MACHINE_AT = 0, 4
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06


class _Step(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("skip_if", ctypes.c_uint8),
        ("skip_unless", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Step)))


def refuse_sockets() -> bool:
    """Have every later attempt at a socket fail with EACCES; whether this system can do that.

    The process must have promised never to gain privileges (`prctl`).
    """
    # A process of 32 bits on a machine of 64 has other numbers.
    if platform.system() != "Linux" or platform.machine() not in _MACHINES or sys.maxsize < 2**32:
        return False
    steps = _steps(*_MACHINES[platform.machine()])
    program = _Program(len(steps), (_Step * len(steps))(*(_Step(*step) for step in steps)))
    return set_filter(program)


def set_filter(program: ctypes.Structure) -> bool:
    """Hand the filter to the kernel; whether it took it."""
    library = ctypes.CDLL(None, use_errno=True)
    return bool(library.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0) == 0)


def _steps(machine: int, socket: int) -> list[tuple[int, int, int, int]]:
    """Return the filter: what to do, steps to skip if so, steps to skip if not, a value."""
    return [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_EQUAL, 0, 5, machine),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 3, 0, _OTHER_CONVENTION),
        (_EQUAL, 2, 0, socket),
        (_EQUAL, 1, 0, _IO_URING_SETUP),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
