"""Hook of mkdocs: a link from a page to a file outside of docs/ becomes the file's name, since the site has no copy of it."""

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+)([^)#]+)(?:#[^)]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links that stay within docs/ are left as they are."""
    depth = page.file.src_uri.count("/")

    def named(match: re.Match[str]) -> str:
        if match[2].count("../") <= depth:
            return match[0]
        return f"{match[1]} (`{match[3]}`)"

    return _OUTSIDE.sub(named, markdown)
