"""Which IP addresses are on the public internet, and which lead back into somebody's network."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

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
