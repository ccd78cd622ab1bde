"""Hub: what lies on a Hugging Face hub, and bringing it here. Weights as safetensors; nothing of theirs is run."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from assay.errors import AssayError
from training.recipe.weight_files import existing

_WANTED = ("*.safetensors", "*.json", "*.txt", "*.jinja")


class HubError(AssayError):
    """The hub cannot be asked, or has not got it."""

    grpc_status = "UNAVAILABLE"
    reason = "HUB"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Files of one repository at one commit."""

    repository: str
    commit: str
    files: dict[str, int]
    """Path inside the repository to its size in bytes."""
    folder: str = ""
    """The part of the repository that is wanted; empty for the root."""

    @property
    def total_bytes(self) -> int:
        return sum(self.files.values())

    @property
    def weight_bytes(self) -> int:
        return sum(size for name, size in self.files.items() if name.endswith(".safetensors"))

    def only(self, name: str) -> "Snapshot":
        """Of it no more than this file. HubError if it is not there."""
        if name not in self.files:
            raise HubError(f"{self.repository} holds no {name}")
        return replace(self, files={name: self.files[name]})


class Hub:
    """Asks `endpoint` (None: huggingface.co, or what HF_ENDPOINT says) and keeps downloads in `cache`."""

    def __init__(self, endpoint: str | None = None, cache: Path | None = None) -> None:
        """HubError if huggingface_hub is not installed."""
        try:
            # Each module by its name: the package itself imports none before it is used.
            import huggingface_hub.constants
            import huggingface_hub.errors
        except ImportError:
            raise HubError("huggingface_hub is not installed; `make setup` installs it, or assay[engine]") from None
        self._hub: Any = huggingface_hub
        self._endpoint = endpoint
        self._cache = cache or Path(huggingface_hub.constants.HF_HUB_CACHE)

    def model(self, repository: str, revision: str = "") -> Snapshot:
        """The whole repository. HubError if it holds no safetensors."""
        snapshot = self._listed(repository, revision)
        if not snapshot.weight_bytes:
            raise HubError(f"{repository} holds no *.safetensors, and pickled weights are not read")
        return snapshot

    def adapter(self, repository: str, revision: str, folder: str) -> Snapshot:
        """The one folder called so (or the root) that holds an adapter. HubError names those there are."""
        whole = self._listed(repository, revision)
        suffix = "adapter_config.json"
        folders = sorted(name.removesuffix(suffix).rstrip("/") for name in whole.files if name.endswith(suffix))
        called = [each for each in folders if each.split("/")[-1].casefold() == folder.casefold()]
        chosen = called or [each for each in folders if folder.casefold() in each.casefold()] or folders
        if len(chosen) != 1:
            found = ", ".join(each or "(the root)" for each in folders) or "none"
            raise HubError(f"{repository}: which adapter? Name one with --folder; there are: {found}")
        inside = f"{chosen[0]}/" if chosen[0] else ""
        files = {name: size for name, size in whole.files.items() if Path(name).parent == Path(inside)}
        snapshot = Snapshot(repository, whole.commit, files, chosen[0])
        if not snapshot.weight_bytes:
            raise HubError(
                f"{repository}/{inside} holds no adapter_model.safetensors, and pickled weights are not read"
            )
        return snapshot

    def fetch(self, snapshot: Snapshot) -> Path:
        """The directory with the files; what is in the cache already is not fetched again."""
        with self._asked(snapshot.repository):
            directory = self._hub.snapshot_download(
                snapshot.repository,
                revision=snapshot.commit,
                allow_patterns=list(snapshot.files),
                cache_dir=self._cache,
                endpoint=self._endpoint,
            )
        return Path(directory) / snapshot.folder

    def refuse_full(self, snapshots: Sequence[Snapshot], out: Path) -> None:
        """HubError if the downloads and the merged weights (as large as the base's) do not fit."""
        downloads = sum(each.total_bytes for each in snapshots)
        merged = max((each.weight_bytes for each in snapshots), default=0)
        wanted: dict[int, tuple[Path, int]] = {}
        for path, size in ((existing(self._cache), downloads), (existing(out), merged)):
            device = path.stat().st_dev
            wanted[device] = (path, wanted.get(device, (path, 0))[1] + size)
        for path, size in wanted.values():
            free = shutil.disk_usage(path).free
            if free < size:
                raise HubError(
                    f"{size / 1e9:.1f} GB are needed where {path} is and {free / 1e9:.1f} GB are free; "
                    "make room, or name other disks with --out and --cache"
                )

    def _listed(self, repository: str, revision: str) -> Snapshot:
        with self._asked(repository):
            api = self._hub.HfApi(endpoint=self._endpoint)
            info = api.model_info(repository, revision=revision or None, files_metadata=True)
        files = {each.rfilename: each.size or 0 for each in info.siblings or []}
        wanted = {name: size for name, size in files.items() if any(fnmatch(name, kind) for kind in _WANTED)}
        return Snapshot(repository, info.sha, wanted)

    @contextmanager
    def _asked(self, repository: str) -> Iterator[None]:
        errors = self._hub.errors
        where = self._endpoint or self._hub.constants.ENDPOINT
        try:
            yield
        except errors.OfflineModeIsEnabled as offline:
            raise HubError(
                f"HF_HUB_OFFLINE forbids to ask {where}; unset it, or give copies of {repository} and the other half "
                "with --base and --adapter"
            ) from offline
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.GatedRepoError) as absent:
            raise HubError(
                f"{where} shows us no {repository} at that revision; is a login needed (hf auth login)?"
            ) from absent
        except (errors.HTTPError, OSError) as unreachable:
            kind = type(unreachable).__name__
            raise HubError(
                f"{where} cannot be reached for {repository} ({kind}); try again where there is a network, or give "
                "local copies with --base and --adapter"
            ) from unreachable
