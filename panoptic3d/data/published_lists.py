"""Lists of samples that published rows were made with, known by the MD5 of their files.

BUOL's are PanoRecon's with up to 4 % of the lines taken out, for reasons that are stated nowhere; two of its Matterport3D
lists are PanoRecon's own.
"""

import hashlib

_LISTS = {
    "6bbb6aba4aed66e657278de318e3ec77": "buol/front3d/train",
    "7c222143322b22f87486e86061474af1": "buol/front3d/validation",
    "b520629d3c6d59736b02d91ee67665c0": "buol/front3d/test",
    "1e4217175295777d07c2f91bf09d8f3c": "buol/matterport3d/train",
    "0bbedbf3b015f28fbf206d31696d784d": "buol/matterport3d/validation",
    "6877aa3eccaaf47927b18c30a2c70209": "buol/matterport3d/test",
}
PUBLISHED_LISTS = tuple(_LISTS.values())


def published_name(data: bytes) -> str | None:
    """The list that a file is, to the byte."""
    return _LISTS.get(hashlib.md5(data, usedforsecurity=False).hexdigest())
