"""What the machine has: cores and memory, in words for people."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["available_memory", "cores", "size", "total_memory"]


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _meminfo(key: str) -> int | None:
    path = Path("/proc/meminfo")
    if not path.exists():
        return None
    for line in path.read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name == key:
            return int(rest.split()[0]) * 1024
    return None


def _limit() -> int | None:
    """Memory limit of a container, bytes."""
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(name)
        if path.exists():
            text = path.read_text(encoding="ascii").strip()
            # without a limit the files hold "max" or a number near 2^63
            return int(text) if text.isdigit() and int(text) < 2**60 else None
    return None


def _smallest(*amounts: int | None) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return min(known) if known else None


def total_memory() -> int | None:
    """Memory of the machine or of the container, bytes; None where the system does not tell."""
    return _smallest(_meminfo("MemTotal"), _limit())


def available_memory() -> int | None:
    """Memory that can be had without swapping, bytes; None where the system does not tell."""
    return _smallest(_meminfo("MemAvailable"), _limit())


def size(n_bytes: float) -> str:
    """Amount of memory for people: "3.2 GB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} TB"
