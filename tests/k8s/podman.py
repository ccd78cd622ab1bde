"""Pods of a rendered overlay, played here with podman: a network, a DNS like a cluster's, and no cluster."""

import asyncio
import copy
import itertools
import json
import os
import resource
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self

import grpc
import yaml
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.k8s.cluster_dns import ZONE, ClusterDns

Doc = dict[str, Any]
NETWORK = "assay-pods"
_CLUSTERS_OWN = ("startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "ports")
"""Of a container: what a kubelet does, and ports, which podman would publish on this machine."""
_POLL_SECONDS = 0.2


class Pod(NamedTuple):
    """One that runs."""

    name: str
    container: str
    host: str
    """Its address in the network."""
    probe: Doc
    """Of readiness, as the manifest has it."""
    service: str
    """Whose name finds it once it is published."""
    pause_seconds: float
    """Of preStop, between the end of its name and SIGTERM."""


class Podman:
    """Plays pods until its block ends, which removes them, their volumes and their network."""

    def __init__(self, docs: Sequence[Doc]) -> None:
        self._docs = docs
        self._count = itertools.count(1)
        self._pods: dict[str, list[str]] = {}
        """The volumes of each pod, by its name."""
        self._dns: ClusterDns | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        # podman asks for more open files than a container of this machine may have.
        limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65536)
        configuration = Path(self._stack.enter_context(tempfile.TemporaryDirectory())) / "containers.conf"
        configuration.write_text(
            f'[containers]\ndefault_ulimits = ["nofile={limit}:{limit}", "nproc={limit}:{limit}"]\nshm_size = "1g"\n'
        )
        os.environ["CONTAINERS_CONF"] = str(configuration)
        with suppress(RuntimeError):
            await podman("network", "rm", "-f", NETWORK)
        await podman("network", "create", "--disable-dns", NETWORK)
        # The bridge comes up with its first container, and is asked for its address before that.
        self._resolver = await podman("network", "inspect", NETWORK, "--format", "{{(index .Subnets 0).Gateway}}")
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in tuple(self._pods):
            await self.remove(name)
        await podman("network", "rm", "-f", NETWORK)
        await self._stack.aclose()

    async def play(self, deployment: str, *, mount: Path | None = None, **variables: str) -> Pod:
        """One more pod of a Deployment, which no name finds yet. `mount` is read at /mounted."""
        template = next(
            doc["spec"]["template"]
            for doc in self._docs
            if doc["kind"] == "Deployment" and doc["metadata"]["name"] == deployment
        )
        name = f"assay-{deployment}-{next(self._count)}"
        spec: Doc = copy.deepcopy(template["spec"])
        (container,) = spec["containers"]
        probe = container["readinessProbe"]["grpc"]
        pause_seconds = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        for each in _CLUSTERS_OWN:
            container.pop(each, None)
        self._pods[name] = await _with_volumes(name, spec)
        if mount:
            container["volumeMounts"].append({"name": "mounted", "mountPath": "/mounted", "readOnly": True})
            spec["volumes"].append({"name": "mounted", "hostPath": {"path": str(mount)}})
        # podman ends a pod with its last container; a cluster keeps its network, and starts the container again.
        spec["containers"].append(
            {"name": "keeper", "image": container["image"], "command": ["/bin/sleep", "infinity"]}
        )
        spec |= {"dnsPolicy": "None", "dnsConfig": self._dns_config()}
        # podman lets what comes from a ConfigMap win over a container's own variables, other than Kubernetes.
        maps = [{**doc, "data": doc["data"] | variables} for doc in self._docs if doc["kind"] == "ConfigMap"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": name}, "spec": spec}
        await podman("play", "kube", "--network", NETWORK, "-", stdin=yaml.safe_dump_all([*maps, pod]))
        infra = await podman("pod", "inspect", name, "--format", "{{.InfraContainerID}}")
        host = await _address(infra)
        if self._dns is None:
            self._dns = await self._stack.enter_async_context(ClusterDns(self._resolver))
        return Pod(name, f"{name}-{container['name']}", host, probe, deployment, pause_seconds)

    def _dns_config(self) -> Doc:
        """What a kubelet writes into a pod's resolv.conf."""
        return {
            "nameservers": [self._resolver],
            "searches": [ZONE, "svc.cluster.local", "cluster.local"],
            "options": [{"name": "ndots", "value": "5"}],
        }

    async def publish(self, pod: Pod) -> None:
        """The pod under its Service's name, as soon as it is ready. TimeoutError if it never is."""
        await until_ready(pod)
        assert self._dns
        self._dns.publish(pod.service, pod.host)

    async def stop(self, pod: Pod) -> str:
        """Its exit code after the end of its name, the pause of preStop, and SIGTERM."""
        self._withdraw(pod)
        await asyncio.sleep(pod.pause_seconds)
        await podman("stop", "-t", "150", pod.container)
        return await podman("inspect", pod.container, "--format", "{{.State.ExitCode}}")

    async def restart(self, pod: Pod) -> None:
        """Its container killed and started again, published when it is ready."""
        self._withdraw(pod)
        await podman("kill", "-s", "KILL", pod.container)
        await podman("wait", "--condition", "exited", pod.container)
        await podman("start", pod.container)
        await self.publish(pod)

    def _withdraw(self, pod: Pod) -> None:
        assert self._dns
        self._dns.withdraw(pod.service, pod.host)

    async def remove(self, name: str) -> None:
        """The pod at once, and its volumes."""
        await podman("pod", "rm", "-f", "-t", "0", name)
        for volume in self._pods.pop(name):
            await podman("volume", "rm", "-f", volume)


async def _address(infra: str) -> str:
    networks: Doc = json.loads(await podman("inspect", infra, "--format", "{{json .NetworkSettings.Networks}}"))
    return str(networks[NETWORK]["IPAddress"])


async def podman(*arguments: str, stdin: str = "") -> str:
    """What podman prints. RuntimeError with its own words if it fails."""
    process = await asyncio.create_subprocess_exec(
        "podman",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, wrong = await process.communicate(stdin.encode())
    if process.returncode != 0:
        raise RuntimeError(f"podman {' '.join(arguments)}: {wrong.decode().strip()}")
    return out.decode().strip()


async def log(pod: Pod) -> str:
    """What its container has written to both streams."""
    process = await asyncio.create_subprocess_exec(
        "podman", "logs", pod.container, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return out.decode(errors="replace")


async def is_ready(pod: Pod) -> bool:
    """What a kubelet's readiness probe would find."""
    async with grpc.aio.insecure_channel(f"{pod.host}:{pod.probe['port']}") as channel:
        request = health_pb2.HealthCheckRequest(service=pod.probe["service"])
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(request, timeout=2)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def until_ready(pod: Pod, within_seconds: float = 600.0) -> float:
    """Seconds that it took. TimeoutError with the end of its log if it takes longer."""
    started = time.monotonic()
    while not await is_ready(pod):
        if time.monotonic() - started > within_seconds:
            raise TimeoutError(f"{pod.name} is not ready after {within_seconds:g} s:\n{(await log(pod))[-2000:]}")
        await asyncio.sleep(_POLL_SECONDS)
    return time.monotonic() - started


async def _with_volumes(pod: str, spec: Doc) -> list[str]:
    """The names of new volumes in memory, one for each emptyDir, which the pod may write. podman gives them no size."""
    names = []
    (container,) = spec["containers"]
    # podman's own: a volume there gets the mode of the image's directory, which only root may write.
    container["volumeMounts"] = [each for each in container["volumeMounts"] if each["mountPath"] != "/dev/shm"]
    mounted = {each["name"] for each in container["volumeMounts"]}
    spec["volumes"] = [each for each in spec["volumes"] if each["name"] in mounted]
    for volume in spec["volumes"]:
        name = f"{pod}-{volume['name']}"
        del volume["emptyDir"]
        options = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=mode=1777,nosuid,nodev"]
        await podman("volume", "rm", "-f", name)
        await podman("volume", "create", *options, name)
        volume["persistentVolumeClaim"] = {"claimName": name}
        names.append(name)
    return names
