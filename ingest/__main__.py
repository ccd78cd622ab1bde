"""python -m ingest: pulls INGEST_SOURCE, pushes it to the gateway, prints one JSON object per window."""

import logging
import sys
from contextlib import aclosing

from assay import __version__
from assay.cli.live import live_json
from assay.client import AsyncClient, Credentials
from assay.errors import SettingsError
from assay.rpc.logs import log_to_stderr
from assay.rpc.serve import run
from assay.rpc.settings import load
from assay.web import Web
from ingest.pull import pulled
from ingest.settings import IngestSettings


async def main() -> None:
    """Returns when the playlist has ended; raises what ends it before."""
    settings = load(IngestSettings)
    log_to_stderr("ingest", "info")
    logging.getLogger("ingest").info("version %s", __version__)
    if not settings.source:
        raise SettingsError("INGEST_SOURCE names nothing to pull; it looks like https://HOST/PLAYLIST.m3u8")
    web = Web(settings.rules(), settings.limits(), authorities=settings.authorities)
    web.rules.place(settings.source)  # before anything is started for it
    credentials = Credentials(settings.tls_ca, settings.tls_certificate, settings.tls_key, settings.token_file)
    async with (
        aclosing(pulled(settings.source, web, settings.max_file_bytes)) as stream,
        AsyncClient(settings.server, credentials=credentials) as client,
    ):
        windows = client.live(
            stream,
            window_seconds=settings.window_seconds,
            hop_seconds=settings.hop_seconds,
            waits=settings.lateness == "wait",
            form=settings.form,
        )
        async with aclosing(windows):
            async for window in windows:
                print(live_json(window), flush=True)


if __name__ == "__main__":
    sys.exit(run("ingest", main()))
