"""Lengths of time in words, as exact as a person needs them."""

from __future__ import annotations


def roughly(seconds: float) -> str:
    """ "12 s", "5 min", "3 h", "2 days"."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (unit != "days" and seconds >= length):
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
