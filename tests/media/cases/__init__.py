"""`case("mkv_cropped_letterbox.mkv")`: small files made with other programs than PyAV, none of third-party material."""

from pathlib import Path

FOLDER = Path(__file__).parent
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.suffix not in (".py", "") and path.is_file())


def case(name: str) -> bytes:
    """The bytes of the file."""
    return (FOLDER / name).read_bytes()
