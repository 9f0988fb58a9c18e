"""Limits that the kernel keeps for the warehouse's process: which files, which addresses, how much memory.

They hold whatever the engine does, so a hole in the analysts' policy shows nothing but the warehouse's own folder.
Landlock (Linux 5.13 and later) holds for the thread that requests it and for all threads that it starts afterwards: so
it is requested before the engine starts its threads. It cannot be taken back.
"""

import ctypes
import os
import resource
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ledger.errors import TallyError

MAX_MEMORY_BYTES = 2 << 30
"""The memory limit of the process, which ends beyond it. The engine's own limit is 600 MiB."""

MAX_DATA_BYTES = 3 << 30
"""The allocation limit of the process (RLIMIT_DATA): a single greater allocation fails at once. It does not replace the
memory limit: memory mapped over a reservation is not counted, and a process without memory may wait for ever."""

_MEMORY_INTERVAL_S = 0.05

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_REG, _REFER, _TRUNCATE, _IOCTL_DEV = 1 << 8, 1 << 13, 1 << 14, 1 << 15
_MAX_BIT_BY_ABI = (13, 14, 15, 15, 16)
"""The number of file rights that ABI 1, ABI 2 and so on know; later ABIs know as many as the last."""
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
"""The rights that a rule on a file may have; the others are of folders."""
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2
_NETWORK_ABI, _SCOPE_ABI = 4, 6

_RUNTIME_RIGHTS = _EXECUTE | _READ_FILE | _READ_DIR
_ALL_RIGHTS = -1
_ANNOUNCE_RIGHTS = _MAKE_REG | _REMOVE_FILE
"""The rights to rename and delete a file; neither to read nor to write one."""

Grants = dict[Path, int]


class Confinement(NamedTuple):
    """The limits in force for the process. ``landlock_abi`` is 0 where the kernel has no Landlock."""

    landlock_abi: int
    max_memory_bytes: int

    @property
    def files(self) -> bool:
        return self.landlock_abi >= 1

    @property
    def network(self) -> bool:
        """True where no TCP connection and no further port can be opened."""
        return self.landlock_abi >= _NETWORK_ABI


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock_abi() -> int:
    """Ask the kernel for its version of Landlock; 0 where it has none, or it is turned off."""
    return max(0, int(_load_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))))


def confine(home: Path, writable: Iterable[Path]) -> Confinement:
    """Confine this thread, and all threads that it starts from now on, to these folders of the home and the runtime.

    Nothing else of the home can be read. TallyError where a kernel that has Landlock refuses it.
    """
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise TallyError("the warehouse has threads already, which cannot be confined: load the engine afterwards")
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file holds what people stored
    statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)  # confined, it cannot be opened
    abi = landlock_abi()
    if abi:
        _restrict(abi, list_grants(home.resolve(), writable))
    threading.Thread(target=_watch_memory, args=(statm,), daemon=True).start()
    return Confinement(abi, MAX_MEMORY_BYTES)


def list_grants(home: Path, writable: Iterable[Path]) -> Grants:
    """List the paths that may be used, each with its rights; what is granted to a folder holds for all below it."""
    root = Path(__file__).parents[2]  # the folder of the packages; in a source tree it holds more than them
    readable = [
        Path(sys.prefix), Path(sys.base_prefix), Path("/usr"), Path("/lib"), Path("/lib64"), Path("/etc/ld.so.cache"),
        root / "warehouse", root / "ledger", root / "sdk" / "tallystick", root / "tallystick", Path("/dev/urandom"),
        Path("/sys/fs/cgroup"),  # the memory limit that the engine reads
        Path("/proc/self"),  # resolved: this process's own folder and no other's
    ]  # fmt: skip
    rights = {
        granted_path: _RUNTIME_RIGHTS
        for path in readable
        if path.exists()
        for granted_path in split_paths_around(path.resolve(), home)
    }
    rights[Path("/dev/null")] = _READ_FILE | _WRITE_FILE
    rights[home / "run"] = _ANNOUNCE_RIGHTS
    return rights | {path.resolve(): _ALL_RIGHTS for path in writable}


def split_paths_around(path: Path, home: Path) -> Iterator[Path]:
    """Yield a path, or where it holds the home, all paths below it that do not lead to the home."""
    if path == home or home in path.parents:
        return
    if path not in home.parents:
        yield path
        return
    for child in path.iterdir():
        if not child.is_symlink():  # its target counts, not the link
            yield from split_paths_around(child, home)


def _watch_memory(statm: int) -> None:
    while (resident := int(os.pread(statm, 200, 0).split()[1]) * resource.getpagesize()) <= MAX_MEMORY_BYTES:
        time.sleep(_MEMORY_INTERVAL_S)
    print(
        f"The warehouse uses {resident >> 20} MiB of memory, above its limit of {MAX_MEMORY_BYTES >> 20}: it ends",
        flush=True,
    )
    os._exit(1)


def _restrict(abi: int, paths: Grants) -> None:
    handled = (1 << _MAX_BIT_BY_ABI[min(abi, len(_MAX_BIT_BY_ABI)) - 1]) - 1
    network = _BIND_TCP | _CONNECT_TCP if abi >= _NETWORK_ABI else 0
    scoped = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if abi >= _SCOPE_ABI else 0
    attributes = _RulesetAttributes(handled, network, scoped)
    size = 24 if abi >= _SCOPE_ABI else 16 if abi >= _NETWORK_ABI else 8  # an older kernel knows fewer fields
    ruleset = _call_kernel(_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path, rights in paths.items():
            _add_rule(ruleset, path, rights & handled)
        if _load_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise _confinement_error()
        _call_kernel(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)


def _add_rule(ruleset: int, path: Path, rights: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = _PathBeneath(rights if path.is_dir() else rights & _FILE_RIGHTS, parent)
        _call_kernel(
            _ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0)
        )
    finally:
        os.close(parent)


def _call_kernel(number: int, *arguments: object) -> int:
    result = int(_load_libc().syscall(number, *arguments))
    if result < 0:
        raise _confinement_error()
    return result


def _confinement_error() -> TallyError:
    return TallyError(
        f"the warehouse cannot be confined with Landlock ({os.strerror(ctypes.get_errno())}), and is not "
        "started without it: look which security module or container forbids it"
    )


def _load_libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
