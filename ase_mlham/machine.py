"""What the machine has: cores and memory, and memory in words for people."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["available_memory", "cores", "size", "total_memory"]

_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)
"""Where a container has its limit and what it uses, in the two versions of control groups."""


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def total_memory() -> int | None:
    """Memory of the machine or of the container, bytes; None where the system does not tell."""
    limit = _limit()
    return _smallest(_pages("SC_PHYS_PAGES"), None if limit is None else limit[0])


def available_memory() -> int | None:
    """Memory that this process may still take without swapping, bytes; None where unknown."""
    limit = _limit()
    free = _meminfo("MemAvailable")
    if free is None:
        free = _pages("SC_AVPHYS_PAGES")
    return _smallest(free, None if limit is None else max(0, limit[0] - limit[1]))


def size(n_bytes: float) -> str:
    """Amount of memory for people: "3.2 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"


def _smallest(*amounts: int | None) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return min(known) if known else None


def _meminfo(key: str) -> int | None:
    """A line of what Linux says."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(found[key].split()[0]) * 1024 if key in found else None


def _pages(key: str) -> int | None:
    """What POSIX systems say."""
    try:
        return os.sysconf(key) * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


def _limit() -> tuple[int, int] | None:
    """Limit of a container and what it uses, bytes."""
    for names in _LIMITS:
        try:
            limit, used = (Path(name).read_text(encoding="ascii").strip() for name in names)
        except OSError:
            continue
        # without a limit the files hold "max" or a number near 2^63
        if limit.isdigit() and int(limit) < 2**60:
            return int(limit), int(used)
    return None
