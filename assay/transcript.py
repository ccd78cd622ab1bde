"""Transcript: an answer up to the number. One service writes it, the other goes on from it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything that was written before the number, about one clip."""

    texts: tuple[str, ...]
    """A text for each segment of the form, byte for byte as written; joined, they are the answer so far."""
    checkpoint_fingerprint: str
    """Hash of the checkpoint that wrote it."""
    is_complete: bool
    """False if free prose was cut before it came to the number."""

    @property
    def text(self) -> str:
        return "".join(self.texts)
