"""`python -m benchmarks.http`: what HTTP costs next to gRPC, how fast uploads in slices are, whether broken ones go on.

A stack of its own serves. For the cost the same kind of photo is scored by turns over gRPC (StreamImage) and over HTTP
(server-sent events), each a picture of its own, so that nothing is found in a cache; counted is the processor time of
all programs of the stack. The upload is the demo's video, padded with random bytes in a `free` box.
"""

import argparse
import http.client
import io
import json
import random
import struct
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assay.client import Client
from assay.stack import Stack, checkout
from benchmarks.stack.processor import THIS, cpu_seconds, cpu_since

_SLICE_BYTES = 8 << 20
_PIECE_BYTES = 1 << 20


def main(options: argparse.Namespace) -> int:
    """Prints the figures; 1 if a broken upload was scored otherwise than a whole one."""
    with tempfile.TemporaryDirectory() as folder, Stack(http_address="127.0.0.1:0", logs=Path(folder)) as stack:
        video = padded((checkout() / "demo/video.mp4").read_bytes(), options.megabytes * 1_000_000)
        print(rate_line(stack.http_address, video), flush=True)
        line, is_same = resumed_line(stack.http_address, video, options.cuts)
        print(line, flush=True)
        print(cost_line(stack, options.photos), flush=True)
    return 0 if is_same else 1


def padded(video: bytes, size_bytes: int) -> bytes:
    """The file with a box at its end that players pass over."""
    num_bytes = max(size_bytes - len(video), 8)
    noise = np.random.default_rng(1).integers(0, 256, num_bytes - 8, np.uint8).tobytes()
    return video + struct.pack(">I", num_bytes) + b"free" + noise


def post(address: str, path: str, body: bytes, content_type: str) -> bytes:
    """The body of the answer. AssertionError for any status but 200."""
    connection = http.client.HTTPConnection(address, timeout=600)
    connection.request("POST", path, body, {"content-type": content_type})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert answer.status == 200, content[:500]
    return content


def created(address: str, size_bytes: int) -> str:
    """The id of a new upload."""
    body = json.dumps({"sizeBytes": size_bytes}).encode()
    answer = json.loads(post(address, "/assay.v1.UploadService/CreateUpload", body, "application/json"))
    return str(answer["upload"]["uploadId"])


def forget(address: str, upload: str) -> None:
    """Gives the upload's room back."""
    body = json.dumps({"uploadId": upload}).encode()
    post(address, "/assay.v1.UploadService/DeleteUpload", body, "application/json")


def rate_line(address: str, video: bytes) -> str:
    """How fast slices are taken, three times."""
    rates = []
    before = cpu_seconds()
    for _ in range(3):
        upload, connection = created(address, len(video)), http.client.HTTPConnection(address, timeout=600)
        started = time.perf_counter()
        for start in range(0, len(video), _SLICE_BYTES):
            connection.request("PUT", f"/v1/uploads/{upload}?offset={start}", video[start : start + _SLICE_BYTES])
            assert connection.getresponse().read()
        rates.append(len(video) / 1e6 / (time.perf_counter() - started))
        connection.close()
        forget(address, upload)
    spent = cpu_since(before)
    cpu = 1000 * sum(seconds for name, seconds in spent.items() if name != THIS) / (3 * len(video) / 1e8)
    found = ", ".join(f"{rate:.0f}" for rate in rates)
    return f"upload of {len(video) / 1e6:.0f} MB in slices: {found} MB/s; server's CPU {cpu:.0f} ms per 100 MB"


def resumed_line(address: str, video: bytes, cuts: int) -> tuple[str, bool]:
    """Whether an upload that was cut off so many times has the result of the file in one request, to the last bit."""
    upload, places = created(address, len(video)), sorted(random.Random(1).sample(range(len(video)), cuts))
    for place in places:
        send_until(address, upload, video, place)
    send_until(address, upload, video, len(video))
    resumed = scored(address, upload)
    whole = json.loads(post(address, "/v1/videos:score", video, "video/mp4"))
    is_same = normal(resumed) == normal(whole)
    forget(address, upload)
    return (
        f"upload of {len(video) / 1e6:.0f} MB, cut {cuts} times: {'the same' if is_same else 'ANOTHER'} result",
        is_same,
    )


def send_until(address: str, upload: str, video: bytes, end: int) -> None:
    """Goes on where the upload stands, and breaks the connection off at that byte."""
    connection = http.client.HTTPConnection(address, timeout=600)
    connection.request("GET", f"/v1/uploads/{upload}")
    start = int(json.loads(connection.getresponse().read()).get("received_bytes", 0))
    connection.putrequest("PUT", f"/v1/uploads/{upload}?offset={start}")
    connection.putheader("content-length", str(len(video) - start))
    connection.endheaders()
    for at in range(start, end, _PIECE_BYTES):
        connection.send(video[at : min(at + _PIECE_BYTES, end)])
    if end == len(video):
        assert connection.getresponse().status == 200
    connection.close()
    time.sleep(0.2)  # until the server has noticed


def scored(address: str, upload: str) -> dict[str, Any]:
    """The result of an upload, over Connect."""
    request = json.dumps({"uploadId": upload}).encode()
    enveloped = b"\0" + struct.pack(">I", len(request)) + request
    answer = post(address, "/assay.v1.UploadService/ScoreUpload", enveloped, "application/connect+json")
    reader, result = io.BytesIO(answer), dict[str, Any]()
    while head := reader.read(5):
        message = json.loads(reader.read(struct.unpack(">I", head[1:])[0]))
        for event in message.get("events", ()):
            result = event.get("result", result)
    assert result, answer[-500:]
    return result


def normal(message: Any) -> Any:
    """ProtoJSON with one spelling of names: REST writes those of the proto, Connect camel case."""
    if isinstance(message, dict):
        return {name.replace("_", "").lower(): normal(value) for name, value in message.items()}
    return [normal(each) for each in message] if isinstance(message, list) else message


def cost_line(stack: Stack, photos: int) -> str:
    """Processor time of a photo over HTTP and over gRPC, by turns of five."""
    spent = {"gRPC": 0.0, "HTTP": 0.0}
    pictures = iter(made_up(2 * photos + 4))
    with Client(stack.address) as client:
        for picture in (next(pictures) for _ in range(2)):  # not measured: connections, and what is made at first use
            over_grpc(client, picture)
        for picture in (next(pictures) for _ in range(2)):
            over_http(stack.http_address, picture)
        for _ in range(photos // 5):
            for way in spent:
                before = cpu_seconds()
                for picture in (next(pictures) for _ in range(5)):
                    if way == "gRPC":
                        over_grpc(client, picture)
                    else:
                        over_http(stack.http_address, picture)
                spent[way] += sum(seconds for name, seconds in cpu_since(before).items() if name != THIS)
    each = {way: 1000 * seconds / (photos // 5 * 5) for way, seconds in spent.items()}
    ratio = each["HTTP"] / each["gRPC"]
    return f"CPU of the stack per photo: gRPC {each['gRPC']:.0f} ms, HTTP {each['HTTP']:.0f} ms: {ratio:.3f} times"


def over_grpc(client: Client, picture: bytes) -> None:
    """A photo, all of its events read."""
    client.score(picture)


def over_http(address: str, picture: bytes) -> None:
    """The same as server-sent events."""
    connection = http.client.HTTPConnection(address, timeout=600)
    connection.request("POST", "/v1/images:score", picture, {"accept": "text/event-stream"})
    assert b"event: result" in connection.getresponse().read()
    connection.close()


def made_up(count: int) -> Sequence[bytes]:
    """JPEGs of the demo's photo, each a little other than the rest."""
    photo = np.asarray(Image.open(checkout() / "demo/photo.jpg")).astype(np.int16)
    found = []
    for index in range(count):
        file = io.BytesIO()
        brighter = np.clip(photo + np.int16(index % 24 - 12), 0, 255).astype(np.uint8)
        Image.fromarray(np.roll(brighter, index, axis=1)).save(file, "JPEG", quality=90)
        found.append(file.getvalue())
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--cuts", type=int, default=10)
    parser.add_argument("--photos", type=int, default=40)
    raise SystemExit(main(parser.parse_args()))
