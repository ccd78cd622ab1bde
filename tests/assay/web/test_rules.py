"""assay/web/rules.py: what an operator did not allow is refused, and the setting named."""

from ipaddress import ip_network

import pytest

from assay.errors import UriRefused
from assay.web import WebRules
from assay.web.rules import parsed, why_not_public

RULES = WebRules(hosts=("media.example.com", "cdn.example.com:8443", "*.video.example.com"))


def refusal(uri, rules=RULES):
    with pytest.raises(UriRefused) as refused:
        rules.place(uri)
    return refused.value.message


@pytest.mark.parametrize(
    "uri",
    [
        "https://media.example.com/a.mp4",
        "https://MEDIA.example.com./a.mp4",
        "https://media.example.com:443/a.mp4",
        "https://cdn.example.com:8443/a.mp4?x=1",
        "https://eu.video.example.com/a.mp4",
    ],
)
def test_a_host_that_is_listed_is_allowed(uri):
    assert RULES.place(uri).target.startswith("/a.mp4")


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.com/a.mp4",
        "https://media.example.com.evil.net/a.mp4",
        "https://evilmedia.example.com/a.mp4",
        "https://video.example.com/a.mp4",
        "https://media.example.com:8443/a.mp4",
        "https://cdn.example.com/a.mp4",
        "https://127.0.0.1/a.mp4",
        "https://[::1]/a.mp4",
    ],
)
def test_a_host_that_is_not_listed_is_refused_by_name_and_setting(uri):
    assert "FETCH_ALLOWED_HOSTS does not list it" in refusal(uri)


def test_without_hosts_every_uri_is_refused_and_the_setting_named():
    assert "FETCH_ALLOWED_HOSTS is empty" in refusal("https://media.example.com/a.mp4", WebRules())


@pytest.mark.parametrize("scheme", ["http", "ftp", "file", "gopher", "rtsp"])
def test_another_scheme_is_refused_by_name_and_setting(scheme):
    message = refusal(f"{scheme}://media.example.com/a.mp4")
    assert f"{scheme}://" in message
    assert "FETCH_SCHEMES" in message


@pytest.mark.parametrize(
    "uri",
    [
        "https:media.example.com/a.mp4",
        "https:///a.mp4",
        "/etc/passwd",
        "https://user:secret@media.example.com/a.mp4",
        "https://media.example.com\\@evil.net/a.mp4",
        "https://media.example.com/a.mp4#part",
        "https://media.example.com/a b.mp4",
        "https://media.example.com/a.mp4\r\nHost: evil.net",
        "https://media.exämple.com/a.mp4",
        "https://media.example.com:port/a.mp4",
        "https://media.example.com:99999/a.mp4",
        "https://[media/a.mp4",
        "https://media.example.com/" + "a" * 2100,
    ],
)
def test_what_two_programs_might_read_differently_is_refused(uri):
    assert "URI" in refusal(uri)


def test_a_refusal_does_not_repeat_a_password():
    assert "secret" not in refusal("https://user:secret@media.example.com/a.mp4")


def test_a_network_can_be_allowed_though_it_is_private():
    rules = WebRules(networks=(ip_network("10.1.0.0/16"),))
    rules.check_address("inside.example.com", "10.1.2.3")
    with pytest.raises(UriRefused, match=r"10\.2\.0\.1, which is of a private network; FETCH_ALLOWED_NETWORKS"):
        rules.check_address("inside.example.com", "10.2.0.1")


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
