"""The types of the inventory's fields: allow-lists for everything that later reaches a shell, a file name or a certificate.

A field type is pydantic's, with a validator that speaks in whole sentences; none coerces (a number is never text, text never a number).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainValidator, Strict
from pydantic_core import PydanticCustomError

from kbootstrap.inventory.scalars import Surprising
from kbootstrap.model.host import Taint, TaintEffect

LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME: Final = re.compile(LABEL)
_DOMAIN: Final = re.compile(rf"{LABEL}(\.{LABEL})*")
_SAN: Final = re.compile(rf"(\*\.)?{LABEL}(\.{LABEL})*", re.IGNORECASE)
_USER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_QUALIFIED: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_VERSION: Final = re.compile(r"(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){2}(-[0-9a-z]+(\.[0-9a-z]+)*)?")
_FLAG: Final = re.compile(r"[a-z][a-z0-9-]{0,99}")
_URL: Final = re.compile(r"https?://[A-Za-z0-9.\-:\[\]]+(/[A-Za-z0-9._~%+/-]*)?")
_PATH_PUNCTUATION: Final = frozenset("/._-~+=@%, :")


def _checked(check: Callable[[str], Any]) -> PlainValidator:
    """Text, and nothing that only looks like it; then *check*, which returns the value or raises ValueError with a sentence."""

    def validate(value: Any) -> Any:
        if not isinstance(value, str) or isinstance(value, Surprising):
            raise PydanticCustomError("string_type", "expected text")
        return check(value)

    return PlainValidator(validate, json_schema_input_type=str)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("a name has up to 63 of a-z, 0-9 and -, and starts and ends with a letter or digit")
    return text


def host_name(text: str) -> str:
    """*text* if it is a hostname (RFC 1123, lower case, at most 63 characters as it becomes a label's value); else ValueError."""
    if text != text.lower() and _DOMAIN.fullmatch(text.lower()):
        raise ValueError(f"a hostname is lower case; write {text.lower()}")
    if "_" in text and _DOMAIN.fullmatch(text.lower().replace("_", "-")):
        raise ValueError(f"a hostname has no underscore; write {text.lower().replace('_', '-')}")
    if len(text) > 63:
        raise ValueError(f"a hostname has at most 63 characters, this one {len(text)}")
    if not _DOMAIN.fullmatch(text) or text == "localhost" or (text.rpartition(".")[2].isdigit() and "." in text):
        raise ValueError("a hostname has a-z, 0-9, - and dots, starts and ends with a letter or digit (RFC 1123), and is no address")
    return text


def _domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text) or len(text) > 253:
        raise ValueError("a DNS domain has labels of a-z, 0-9 and - joined by dots")
    return text


def _address(text: str) -> IPv4Address:
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError("expected an IPv4 address such as 10.0.0.11") from None
    if isinstance(address, IPv6Address):
        raise ValueError("an IPv6 address; clusters are IPv4 here so far")
    if address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local or address.is_reserved:
        raise ValueError("not an address that other hosts can reach")
    return address


def _network(text: str) -> IPv4Network:
    if "/" not in text:
        raise ValueError("expected a network such as 10.244.0.0/16")
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError("expected a network such as 10.244.0.0/16") from None
    if not isinstance(network, IPv4Network):
        raise ValueError("an IPv6 network; clusters are IPv4 here so far")
    if str(network) != text:
        raise ValueError(f"not the first address of its network; write {network}")
    return network


def _reachable(text: str) -> str:
    """A name or address to dial: never something that a shell or an option parser could take apart."""
    try:
        return str(ip_address(text))
    except ValueError:
        pass
    if not _DOMAIN.fullmatch(text.lower()) or len(text) > 253:
        raise ValueError("expected a hostname or an address")
    return text


def _san(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        pass
    if not _SAN.fullmatch(text) or len(text) > 253:
        raise ValueError("expected a DNS name or an address")
    return text


_AUDIT_LEVELS: Final = ("None", "Metadata", "Request", "RequestResponse")
_AUDIT_KEYS: Final = ("level", "users", "userGroups", "verbs", "resources", "namespaces", "nonResourceURLs", "omitStages", "omitManagedFields")


def audit_rule(value: Any) -> Any:
    """A rule of audit.k8s.io/v1, as far as a mistake would keep API servers from starting."""
    if not isinstance(value, dict):
        raise ValueError("a rule is a mapping such as {level: Request, resources: [{group: apps}]}")
    if unknown := [str(key) for key in value if key not in _AUDIT_KEYS]:
        raise ValueError(f"an audit rule has no {', '.join(unknown)}; known: {', '.join(_AUDIT_KEYS)}")
    if value.get("level") not in _AUDIT_LEVELS:
        raise ValueError(f"an audit rule says its level: {', '.join(_AUDIT_LEVELS)}")
    if {"resources", "namespaces"} & value.keys() and "nonResourceURLs" in value:
        raise ValueError("an audit rule is about resources or about nonResourceURLs, not both")
    return value


def _user(text: str) -> str:
    if not _USER.fullmatch(text):
        raise ValueError("a user's name has up to 32 of A-Z, a-z, 0-9, _, . and -, and starts with a letter or _")
    return text


def _path(text: str) -> str:
    if not text or text[0] == "-" or not all(char.isalnum() or char in _PATH_PUNCTUATION for char in text):
        raise ValueError("a path has letters, digits, spaces and any of / . _ - ~ + = @ % , : and does not start with -")
    return text


def _mirror(text: str) -> str:
    if "://" not in text:
        return _path(text) if text else text
    if "@" in text:
        raise ValueError("a URL with a user or password in it; the inventory holds no secrets")
    if not _URL.fullmatch(text):
        raise ValueError("expected a directory or an http(s) URL")
    return text


def _version(text: str) -> str:
    if text.startswith("v") and _VERSION.fullmatch(text[1:]):
        raise ValueError(f'a version without v; write "{text[1:]}"')
    if not _VERSION.fullmatch(text):
        raise ValueError('expected a full version such as "1.36.3"')
    return text


def _label_key(text: str) -> str:
    prefix, slash, name = text.rpartition("/")
    if slash and (not _DOMAIN.fullmatch(prefix) or len(prefix) > 253):
        raise ValueError("the part before / is a DNS domain such as example.org")
    if not _QUALIFIED.fullmatch(name):
        raise ValueError("a label's name has up to 63 of A-Z, a-z, 0-9, -, _ and ., and starts and ends with a letter or digit")
    return text


def _label_value(text: str) -> str:
    if text and not _QUALIFIED.fullmatch(text):
        raise ValueError("a label's value has up to 63 of A-Z, a-z, 0-9, -, _ and ., and starts and ends with a letter or digit")
    return text


def _taint(text: str) -> Taint:
    left, colon, effect = text.rpartition(":")
    key, _, value = left.partition("=")
    if not colon or effect not in set(TaintEffect):
        raise ValueError(f"a taint is key=value:effect, the effect one of {', '.join(TaintEffect)}")
    return Taint(key=_label_key(key), value=_label_value(value), effect=TaintEffect(effect))


def _flag(text: str) -> str:
    if text.startswith("-") and _FLAG.fullmatch(text.lstrip("-")):
        raise ValueError(f"a flag without dashes; write {text.lstrip('-')}")
    if not _FLAG.fullmatch(text):
        raise ValueError("a flag's name has a-z, 0-9 and -, and starts with a letter")
    return text


def _flag_value(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a flag's value is one line of printable characters")
    return text


def _reason(text: str) -> str:
    if len(text.strip()) < 3 or not text.isprintable() or len(text) > 300:
        raise ValueError("expected a reason: one line that says why this is accepted")
    return text.strip()


Integer = Annotated[int, Strict()]
Truth = Annotated[bool, Strict()]
Port = Annotated[int, Strict(), Field(ge=1, le=65535)]
Name = Annotated[str, _checked(_name)]
HostName = Annotated[str, _checked(host_name)]
Domain = Annotated[str, _checked(_domain)]
Address = Annotated[IPv4Address, _checked(_address)]
Cidr = Annotated[IPv4Network, _checked(_network)]
Reachable = Annotated[str, _checked(_reachable)]
San = Annotated[str, _checked(_san)]
User = Annotated[str, _checked(_user)]
FilePath = Annotated[str, _checked(_path)]
Reason = Annotated[str, _checked(_reason)]
Mirror = Annotated[str, _checked(_mirror)]
Version = Annotated[str, _checked(_version)]
LabelKey = Annotated[str, _checked(_label_key)]
LabelValue = Annotated[str, _checked(_label_value)]
TaintText = Annotated[Taint, _checked(_taint)]
Flag = Annotated[str, _checked(_flag)]
FlagValue = Annotated[str, _checked(_flag_value)]
Empty = BeforeValidator(lambda value: {} if value is None else value)
