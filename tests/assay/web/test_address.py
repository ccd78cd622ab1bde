"""assay/web/address.py: what is public and what only looks like it."""

import pytest

from assay.web.address import parsed, why_not_public

NOT_PUBLIC = {
    "127.0.0.1": "this machine",
    "127.8.9.10": "this machine",
    "0.0.0.0": "no address",
    "10.1.2.3": "private",
    "172.16.0.1": "private",
    "192.168.1.1": "private",
    "100.64.0.1": "not of the public internet",
    "169.254.169.254": "metadata",
    "100.100.100.200": "metadata",
    "169.254.1.1": "link-local",
    "224.0.0.251": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "private",
    "255.255.255.255": "private",
    "::": "no address",
    "::1": "this machine",
    "fe80::1%eth0": "link-local",
    "fc00::1": "private",
    "fec0::1": "private",
    "fd00:ec2::254": "metadata",
    "ff02::1": "multicast",
    "::ffff:127.0.0.1": "this machine",
    "::ffff:10.0.0.1": "private",
    "::7f00:1": "this machine",
    "64:ff9b::7f00:1": "this machine",
    "64:ff9b::a00:1": "private",
    "64:ff9b:1::a00:1": "private",
    "2002:7f00:1::": "this machine",
    "2001:0:4136:e378:8000:63bf:80ff:fffe": "this machine",
    "2001:db8::1": "private",
    "::ffff:8.8.8.8": "an address inside another",
}


@pytest.mark.parametrize(("address", "words"), NOT_PUBLIC.items())
def test_an_address_that_leads_into_a_network_is_named_for_what_it_is(address, words):
    assert words in why_not_public(parsed(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001:80b::200e"])
def test_an_address_of_the_internet_is_public(address):
    assert why_not_public(parsed(address)) == ""
