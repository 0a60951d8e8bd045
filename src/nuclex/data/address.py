"""Addresses of the web: http and https alone, and never shown with the password that they may hold."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit, urlunsplit

from nuclex.core.errors import OutsideError


def web_address(address: str, base: str, sentence: str) -> str:
    """``address``, if need be as seen from ``base``; OutsideError, after ``sentence``, unless it is http or https."""
    try:
        joined = urljoin(base, address)
        split = urlsplit(joined)
        host = split.hostname
    except ValueError:
        raise OutsideError(f"{sentence} not an address") from None
    if split.scheme not in {"http", "https"} or not host:
        scheme = split.scheme or "nameless"
        raise OutsideError(f"{sentence} no address of the web ({scheme}); only http and https are fetched")
    return joined


def origin(address: str) -> tuple[str, str]:
    """Scheme and host with port: who is asked."""
    split = urlsplit(address)
    return split.scheme, split.netloc


def without_password(address: str) -> str:
    """An address without the name and password that it may hold."""
    try:
        split = urlsplit(address)
    except ValueError:
        return address
    return urlunsplit(split._replace(netloc=split.netloc.rpartition("@")[2]))
