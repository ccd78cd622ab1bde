"""tests.k8s.cluster_dns.py: pods are found by their Service's name as a cluster's DNS has it."""

import dns.message
import dns.rcode

from tests.k8s.cluster_dns import CACHE_SECONDS, ClusterDns


def asked(names: ClusterDns, name: str, kind: str = "A") -> dns.message.Message:
    return dns.message.from_wire(names.answer(dns.message.make_query(name, kind).to_wire()))


def hosts(answer: dns.message.Message) -> list[str]:
    return sorted(str(each) for rrset in answer.answer for each in rrset)


def test_a_name_has_the_addresses_of_its_published_pods():
    names = ClusterDns("127.0.0.1")
    names.publish("scoring", "10.89.0.2")
    names.publish("scoring", "10.89.0.3")
    assert hosts(asked(names, "scoring.assay.svc.cluster.local.")) == ["10.89.0.2", "10.89.0.3"]
    assert hosts(asked(names, "scoring.assay.svc.cluster.local.", "AAAA")) == []


def test_a_name_without_pods_is_none_until_there_is_one():
    names = ClusterDns("127.0.0.1")
    assert asked(names, "fetch.assay.svc.cluster.local.").rcode() == dns.rcode.NXDOMAIN
    names.publish("fetch", "10.89.0.4")
    assert hosts(asked(names, "fetch.assay.svc.cluster.local.")) == ["10.89.0.4"]


def test_an_answer_is_repeated_for_as_long_as_clusters_cache_it(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("tests.k8s.cluster_dns.time.monotonic", lambda: now[0])
    names = ClusterDns("127.0.0.1")
    names.publish("triton", "10.89.0.5")
    asked(names, "triton.assay.svc.cluster.local.")
    names.publish("triton", "10.89.0.6")
    names.withdraw("triton", "10.89.0.5")
    now[0] += CACHE_SECONDS - 1
    assert hosts(asked(names, "triton.assay.svc.cluster.local.")) == ["10.89.0.5"]
    now[0] += 1
    assert hosts(asked(names, "triton.assay.svc.cluster.local.")) == ["10.89.0.6"]
