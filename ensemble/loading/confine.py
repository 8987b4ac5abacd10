"""Takes from this process what loading a model doesn't need: writing elsewhere, other programs, the network.

By Linux' Landlock and a filter of system calls (`no_sockets`), spoken to through ctypes: no library is
needed, and no privilege. What the kernel can't do is told, so that it can be said; nothing is taken from a
process that is to go on with other work.
"""

import ctypes
import os
import platform
import resource
import stat
from dataclasses import dataclass
from pathlib import Path

from .no_sockets import refuse_sockets

CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_NO_NEW_PRIVILEGES = 38

# Rights by Landlock's bit, and the version of it that knows them: execute, write, remove and make of all
# kinds; then moving between folders, truncating, and controlling devices.
_RIGHTS = dict.fromkeys((0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12), 1) | {13: 2, 14: 3, 15: 5}
_EXECUTE = 1 << 0
# What makes sense for a file that is no folder: writing, truncating.
_FILE_RIGHTS = (1 << 1) | (1 << 14)
_TCP, _TCP_SINCE = 0b11, 4  # bind and connect
_SCOPES, _SCOPES_SINCE = 0b11, 6  # abstract sockets of others, signals to others
_MOST_FILES = 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process may use: seconds in all, bytes of memory, bytes of one file."""

    seconds: float
    memory: int
    file: int


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


def confine(folder: Path, limits: Limits) -> str | None:
    """Confine this process for good, to write below `folder` alone; return what couldn't be done, or None.

    Threads that run already keep what they may do, so this comes first in a process.
    """
    _limit(limits)
    missing = []
    try:
        _gain_no_privileges()
        version = _landlock(folder)
        if version == 0:
            missing.append("this system has no Landlock: models may write files")
    except OSError as error:
        version = 0
        missing.append(f"Landlock failed ({error.strerror}): models may write files")
    if not refuse_sockets():
        network = "networks other than TCP" if version >= _TCP_SINCE else "the network"
        missing.append(f"this system can't refuse sockets: models may use {network}")
    return "; ".join(missing) or None


def _limit(limits: Limits) -> None:
    """Set the limits that every Unix has."""
    seconds = int(limits.seconds * (os.cpu_count() or 1)) + 1
    wanted = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: limits.file,
        resource.RLIMIT_NOFILE: _MOST_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in wanted.items():
        most = resource.getrlimit(kind)[1]
        least = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (least, least))


def landlock_version() -> int:
    """Return which version of Landlock this kernel has; 0 for none."""
    # On other systems these numbers are other calls'.
    if platform.system() != "Linux":
        return 0
    return system_call(CREATE_RULESET, None, 0, _ASK_VERSION, absent=0)


def _landlock(folder: Path) -> int:
    """Apply the rules that this kernel's Landlock knows; return its version, 0 for none."""
    version = landlock_version()
    if version == 0:
        return 0
    rights = sum(1 << bit for bit, since in _RIGHTS.items() if version >= since)
    rules = _Ruleset(rights, _TCP if version >= _TCP_SINCE else 0, _SCOPES if version >= _SCOPES_SINCE else 0)
    # An older kernel takes the shorter form, of the fields it knows.
    size = 8 * (1 + (version >= _TCP_SINCE) + (version >= _SCOPES_SINCE))
    ruleset = system_call(CREATE_RULESET, ctypes.byref(rules), size, 0)
    try:
        for path in (folder, Path(os.devnull)):
            _allow(ruleset, path, rights & ~_EXECUTE)
        system_call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _gain_no_privileges() -> None:
    """Promise never to gain privileges by running a program, which Landlock and filters ask for."""
    if (
        platform.system() == "Linux"
        and ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _allow(ruleset: int, path: Path, rights: int) -> None:
    """Allow `rights` for a folder and all below it, or those among them that a file has."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _FILE_RIGHTS
        system_call(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(_Beneath(rights, descriptor)), 0)
    finally:
        os.close(descriptor)


def system_call(number: int, *arguments: object, absent: int | None = None) -> int:
    """Call the kernel; OSError if it says no, unless `absent` is what no such call is to mean."""
    library = ctypes.CDLL(None, use_errno=True)
    found = int(library.syscall(ctypes.c_long(number), *(_word(argument) for argument in arguments)))
    if found < 0:
        if absent is not None:
            return absent
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return found


def _word(argument: object) -> object:
    """Give numbers the width of a register; what is passed variadic else has the upper half undefined."""
    return ctypes.c_long(argument) if isinstance(argument, int) else argument
