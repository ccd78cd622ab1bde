"""What an operator allows: schemes, hosts, and networks that are not public. Everything else is refused by name."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from assay.errors import UriRefused

Address = IPv4Address | IPv6Address

# `is_global` calls these public, but they carry an IPv4 address that may be anybody's, ours included.
_NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = IPv6Network("::/96")
_METADATA = {ip_address("169.254.169.254"), ip_address("fd00:ec2::254"), ip_address("100.100.100.200")}


def parsed(text: str) -> Address:
    """The address that a resolver returned, without the name of a network interface behind it."""
    return ip_address(text.partition("%")[0])


def why_not_public(address: Address) -> str:
    """What the address is, in words, if it is not one of the public internet; empty if it is."""
    inner = _inside(address)
    if inner is not None:
        return why_not_public(inner) or "an address inside another"
    kinds = (
        (address in _METADATA, "a metadata service"),
        (address.is_loopback, "this machine itself"),
        (address.is_unspecified, "no address"),
        (address.is_link_local, "link-local"),
        (address.is_multicast, "multicast"),
        (address.is_private, "of a private network"),
        (address.is_reserved, "reserved"),
        (isinstance(address, IPv6Address) and address.is_site_local, "of a private network"),
        (not address.is_global, "not of the public internet"),
    )
    return next((words for holds, words in kinds if holds), "")


def _inside(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for, whichever way."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    is_embedded = any(address in network for network in _NAT64)
    is_embedded = is_embedded or (address in _COMPATIBLE and int(address) > 0xFFFF)
    return IPv4Address(int(address) & 0xFFFFFFFF) if is_embedded else None


_PORTS = {"https": 443, "http": 80, "rtsp": 554, "rtsps": 322}
_MAX_CHARS = 2048


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is: a URI taken apart once, so that nobody else reads it differently."""

    scheme: str
    host: str
    port: int
    target: str
    """Path and query, as they are sent."""

    @property
    def origin(self) -> str:
        """What may be said of it in an error or a log: the rest may be a secret."""
        port = "" if self.port == _PORTS.get(self.scheme) else f":{self.port}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{port}"


@dataclass(frozen=True, slots=True)
class WebRules:
    """Nothing is allowed that does not stand here."""

    hosts: tuple[str, ...] = ()
    """`media.example.com` (on the port of the scheme), `media.example.com:8443`, `*.example.com` (not itself)."""
    schemes: tuple[str, ...] = ("https",)
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks that are not public and may be connected to all the same."""
    prefix: str = "FETCH_"
    """Of the settings that an error names."""

    def place(self, uri: str) -> Place:
        """The URI taken apart. UriRefused if it is no URI, or if its scheme or host is not allowed."""
        place = taken_apart(uri)
        self.check_scheme(place)
        if not any(_matches(entry, place) for entry in self.hosts):
            state = "does not list it" if self.hosts else "is empty, so no URI is accepted"
            raise UriRefused(
                f"the host {place.host}{_odd_port(place)} is not allowed: {self.prefix}ALLOWED_HOSTS {state}; "
                "upload the file, or have the host allowed",
                field="uri",
            )
        return place

    def check_scheme(self, place: Place) -> None:
        """UriRefused if it is spoken to in a way that is not allowed."""
        if place.scheme not in self.schemes:
            allowed = ", ".join(self.schemes) or "none"
            raise UriRefused(
                f"{place.scheme}:// is not accepted, only {allowed}; {self.prefix}SCHEMES allows others", field="uri"
            )

    def check_address(self, host: str, address: str) -> None:
        """UriRefused if what the host's name resolved to is not public, unless its network is allowed."""
        found = parsed(address)
        if any(found in network for network in self.networks):
            return
        if why := why_not_public(found):
            raise UriRefused(
                f"{host} resolves to {found}, which is {why}; {self.prefix}ALLOWED_NETWORKS does not list it",
                field="uri",
            )


def taken_apart(uri: str) -> Place:
    """UriRefused if the text is not one plain URI with a host. User names, fragments and odd characters are refused:
    two programs that read such a URI may see two different hosts."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        raise UriRefused("the URI has a host or port that cannot be read", field="uri") from None
    is_plain = uri.isascii() and uri.isprintable() and not set(uri) & set(' \\"<>^`{|}')
    if not (is_plain and len(uri) <= _MAX_CHARS):
        raise UriRefused(f"a URI is at most {_MAX_CHARS} ASCII characters; write others as %XX", field="uri")
    if not (parts.scheme and parts.hostname and uri.lower().startswith(f"{parts.scheme}://")):
        raise UriRefused("a URI looks like https://HOST/PATH", field="uri")
    if "@" in parts.netloc or parts.fragment:
        raise UriRefused("a URI may hold neither a user name nor a fragment (#)", field="uri")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.hostname.rstrip(".")
    return Place(parts.scheme, host, _PORTS.get(parts.scheme, 0) if port is None else port, target)


def _odd_port(place: Place) -> str:
    return "" if place.port == _PORTS.get(place.scheme) else f":{place.port}"


def _matches(entry: str, place: Place) -> bool:
    name, _, port = entry.lower().partition(":")
    if place.port != (int(port) if port else _PORTS.get(place.scheme)):
        return False
    return place.host.endswith(name[1:]) if name.startswith("*.") else place.host == name
