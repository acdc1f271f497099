"""
WebError
├── PortInUse       another process listens there
└── CannotListen    the address is not ours, or the port needs rights that we lack
"""

from __future__ import annotations


class WebError(Exception):
    """Base of what can go wrong while the web server starts."""


class PortInUse(WebError):
    pass


class CannotListen(WebError):
    pass
