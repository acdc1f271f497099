"""What the doctor finds: a check, how serious it is, what was seen, and what to do about it."""

from __future__ import annotations

Finding = dict[str, str]
"""`check`, `severity` ("ok", "warning": less than could be, "error": something does not work), `detail`, `remedy`."""


def ok(check: str, detail: str) -> Finding:
    return {"check": check, "severity": "ok", "detail": detail, "remedy": ""}


def warning(check: str, detail: str, remedy: str) -> Finding:
    return {"check": check, "severity": "warning", "detail": detail, "remedy": remedy}


def error(check: str, detail: str, remedy: str) -> Finding:
    return {"check": check, "severity": "error", "detail": detail, "remedy": remedy}


def gib(number: int) -> str:
    return f"{number / 2**30:.1f} GiB"
