"""Pods of a rendered overlay, played here with podman: a network with the Services' names, and no cluster."""

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


class Podman:
    """Plays pods until its block ends, which removes them, their volumes and their network."""

    def __init__(self, docs: Sequence[Doc]) -> None:
        self._docs = docs
        self._count = itertools.count(1)
        self._pods: dict[str, list[str]] = {}
        """The volumes of each pod, by its name."""
        self._files = AsyncExitStack()

    async def __aenter__(self) -> Self:
        # podman asks for more open files than a container of this machine may have.
        limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65536)
        configuration = Path(self._files.enter_context(tempfile.TemporaryDirectory())) / "containers.conf"
        configuration.write_text(
            f'[containers]\ndefault_ulimits = ["nofile={limit}:{limit}", "nproc={limit}:{limit}"]\nshm_size = "1g"\n'
        )
        os.environ["CONTAINERS_CONF"] = str(configuration)
        with suppress(RuntimeError):
            await podman("network", "rm", "-f", NETWORK)
        await podman("network", "create", NETWORK)
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in tuple(self._pods):
            await self.remove(name)
        await podman("network", "rm", "-f", NETWORK)
        await self._files.aclose()

    async def play(self, deployment: str, *, alias: str = "", mount: Path | None = None, **variables: str) -> Pod:
        """One more pod of a Deployment, under its Service's name or another one. `mount` is read at /mounted."""
        template = next(
            doc["spec"]["template"]
            for doc in self._docs
            if doc["kind"] == "Deployment" and doc["metadata"]["name"] == deployment
        )
        name = f"assay-{deployment}-{next(self._count)}"
        spec: Doc = copy.deepcopy(template["spec"])
        (container,) = spec["containers"]
        probe = container["readinessProbe"]["grpc"]
        for each in _CLUSTERS_OWN:
            container.pop(each, None)
        self._pods[name] = await _with_volumes(name, spec)
        if mount:
            container["volumeMounts"].append({"name": "mounted", "mountPath": "/mounted", "readOnly": True})
            spec["volumes"].append({"name": "mounted", "hostPath": {"path": str(mount)}})
        # podman lets what comes from a ConfigMap win over a container's own variables, other than Kubernetes.
        maps = [{**doc, "data": doc["data"] | variables} for doc in self._docs if doc["kind"] == "ConfigMap"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": name}, "spec": spec}
        network = f"{NETWORK}:alias={alias or deployment}"
        await podman("play", "kube", "--network", network, "-", stdin=yaml.safe_dump_all([*maps, pod]))
        return Pod(name, f"{name}-{container['name']}", await _address(await _infra(name)), probe)

    async def publish(self, pod: Pod, service: str) -> Pod:
        """The pod under a Service's name, as a cluster does it once the pod is ready; its address changes."""
        infra = await _infra(pod.name)
        await podman("network", "disconnect", NETWORK, infra)
        await podman("network", "connect", "--alias", service, NETWORK, infra)
        return pod._replace(host=await _address(infra))

    async def remove(self, name: str) -> None:
        """The pod at once, and its volumes."""
        await podman("pod", "rm", "-f", "-t", "0", name)
        for volume in self._pods.pop(name):
            await podman("volume", "rm", "-f", volume)


async def _infra(pod: str) -> str:
    """The container that holds the pod's network."""
    return await podman("pod", "inspect", pod, "--format", "{{.InfraContainerID}}")


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
