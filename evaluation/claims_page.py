"""Claims page: photos with what was said of each, every claim marked as true or false, in one HTML file to read."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from assay.client import Window
from evaluation.ladder import encoded
from evaluation.pixel_claims import CHECKED, Checked

_SIDE_PX = 480
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #222 }
article { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1.4fr); gap: 1.5rem; margin: 2rem 0;
  border-top: 1px solid #ccc; padding-top: 1.5rem }
img { max-width: 100% }
pre { white-space: pre-wrap; font: inherit; margin: .5rem 0 }
mark { background: #d6f0d6; border-radius: .2em; padding: 0 .15em }
mark.false { background: #f6caca }
table { border-collapse: collapse; font-size: .85rem } td { padding: .1rem .8rem .1rem 0 }
@media (max-width: 40rem) { article { display: block } }
"""


@dataclass(frozen=True, slots=True)
class PagePhoto:
    """One photo and its answer."""

    name: str
    picture: Image.Image
    window: Window
    sentences: tuple[str, ...]
    """Those whose claims were checked."""
    checked: tuple[Checked, ...]


def claims_page(photos: Sequence[PagePhoto]) -> str:
    """A document that needs no other file."""
    claims = [claim for photo in photos for claim in photo.checked]
    said = f"{len(photos)} photos, {len(claims)} claims, {sum(claim.is_true for claim in claims)} of them true"
    articles = "\n".join(map(_article, photos))
    title = f"What is said of {len(photos)} photos"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body>'
        f"<h1>{title}</h1><p>{said}. Green is true by the pixels, red is not; a claim's "
        f"tooltip says what was measured.</p>\n{articles}\n</body></html>\n"
    )


def _article(photo: PagePhoto) -> str:
    small = photo.picture.convert("RGB")
    small.thumbnail((_SIDE_PX, _SIDE_PX))
    data = base64.b64encode(encoded(small, "JPEG", quality=85)).decode()
    grades = "".join(
        f"<tr><td>{escape(each.name.replace('_', ' '))}</td><td>{escape(each.grade)}</td>"
        f"<td>{each.probabilities[each.grade]:.0%}</td></tr>"
        for each in photo.window.attributes.values()
        if each.probabilities
    )
    return (
        f'<article><div><img alt="" src="data:image/jpeg;base64,{data}"><p>{escape(photo.name)}</p></div>'
        f"<div><strong>{photo.window.score.value:.2f}</strong><pre>{_marked(photo)}</pre><table>{grades}</table></div>"
        "</article>"
    )


def _marked(photo: PagePhoto) -> str:
    """The reasoning, the claims of its sentences marked."""
    words = {kind.name: kind.words for kind in CHECKED}
    text = escape(photo.window.reasoning)
    for sentence in photo.sentences:
        marked = escape(sentence)
        for claim in photo.checked:
            said = re.escape(escape(words[claim.kind][claim.said]))
            tag = f'<mark class="{str(claim.is_true).lower()}" title="{claim.kind}: {claim.measured}">'
            marked = re.sub(rf"(?<![\w-])({said})(?![\w-])", rf"{tag}\1</mark>", marked, count=1)
        text = text.replace(escape(sentence), marked, 1)
    return text
