"""Files on other people's servers: which may be asked for, and their bytes as they come.

    web = Web(WebRules(hosts=("media.example.com",)), WebLimits())
    async for chunk in web.get("https://media.example.com/clip.mp4", max_bytes=1 << 29): ...

An address makes this process connect to it, so nothing is asked that an operator did not allow.
"""

from assay.web.get import Web, WebLimits
from assay.web.rules import Place, WebRules

__all__ = ["Place", "Web", "WebLimits", "WebRules"]
