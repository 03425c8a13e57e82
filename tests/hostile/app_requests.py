"""Requests of an attacker, or of bad luck, to `panoptic3d app`."""

import os

from tests.hostile.requests import GONE, Asked, bomb, form, npy, paths, photo, posted, request

_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4000 4000\n%%EndComments\n"
_NAMES = (
    *(
        "../" * 200 + "etc/passwd",
        "..\\..\\windows\\win.ini",
        "/etc/passwd",
        "C:\\a.png",
        ".",
        "..",
        "",
        " ",
        "a\x00b.png",
    ),
    *(
        "a.png;rm -rf",
        "<script>alert(1)</script>.png",
        "\x1b[2J.png",
        "\u202egnp.exe",
        "x" * 5000,
        "con",
        "-rf",
        "~",
        "%2e%2e%2f",
    ),
)


def _photos() -> list[tuple[str, bytes]]:
    sound = photo()
    return [
        *(
            ("random", os.urandom(200_000)),
            ("nothing", b""),
            ("text", b"no picture"),
            ("a bomb", bomb()),
            ("eps", _EPS),
        ),
        *(
            ("a bomb of 2^31", bomb(2**31 - 1)),
            ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
            ("pickle", b"\x80\x04\x95"),
        ),
        *(
            ("cut", sound[:100]),
            ("a flip", sound[:-20] + bytes([sound[-20] ^ 1]) + sound[-19:]),
            ("tiny", photo(width=5)),
        ),
        *(
            ("zip", b"PK\x03\x04" + bytes(99)),
            ("elf", b"\x7fELF" + bytes(99)),
            ("html", b"<html><script>alert(1)</script>"),
        ),
        *(
            ("gif head", b"GIF89a" + b"\xff" * 99),
            ("tiff head", b"II*\x00" + b"\xff" * 99),
            ("jp2", b"\x00\x00\x00\x0cjP  \r\n\x87\n"),
        ),
        *(
            ("psd", b"8BPS\x00\x01" + bytes(99)),
            ("ico", b"\x00\x00\x01\x00" + bytes(99)),
            ("heic", b"\x00\x00\x00\x18ftypheic" + bytes(99)),
        ),
    ]


def _depths() -> list[tuple[str, str, bytes]]:
    return [
        *(
            ("a pickle", "d.npy", b"\x80\x04\x95" + bytes(99)),
            ("a bomb", "d.npy", npy((10**6, 10**6))),
            ("nothing", "d.npy", b""),
        ),
        *(
            ("no ending", "d", b"x"),
            ("another ending", "d.php", b"x"),
            ("a way out", "../../d.npy", npy((2, 2), bytes(8))),
        ),
        *(
            ("text", "d.exr", b"x" * 99),
            ("a zip of nothing", "d.npz", b"PK\x05\x06" + bytes(18)),
            ("a photo", "d.png", photo()),
        ),
        *(
            ("nan", "d.npy", npy((48, 64), b"\x00\x00\xc0\x7f" * 48 * 64)),
            ("negative", "d.npy", npy((48, 64), b"\x00\x00\x80\xbf" * 48 * 64)),
        ),
    ]


_WRONG = ("400", "422")
TO_APP = [
    *(
        Asked(f"photo: {name}", posted(path, form(data)), _WRONG)
        for path in ("/api/scenes", "/api/camera")
        for name, data in _photos()
    ),
    *(Asked(f"name {name[:30]!r}", posted("/api/scenes", form(b"x", name)), _WRONG) for name in _NAMES),
    *(
        Asked(
            f"depth: {name}",
            posted("/api/scenes", form(photo()).removesuffix(b"--\r\n") + form(data, file, "depth")[3:]),
            _WRONG,
        )
        for name, file, data in _depths()
    ),
    *(
        Asked(f"{key} {value[:30]!r}", posted("/api/scenes", form(photo(), more=[(key, value)])), _WRONG)
        for key, values in (
            ("fov_deg", ("x", "0", "-1", "180", "nan", "inf", "1e400", "9" * 5000, "1e-9", "")),
            ("camera_height_m", ("x", "0", "-1", "nan", "inf", "1e400", "9" * 5000, "1e9")),
            (
                "known_length",
                ("x", "1,2,3,4", "a,b,c,d,e", "1,2,3,4,0", "-1,2,3,4,1", "1,2,3,4,nan", "1,2,1e400,4,1", "9" * 5000),
            ),
            ("checkpoint", ("/etc", "../../x", "nowhere", "http://evil.example/", "a\x00b", "x" * 5000)),
        )
        for value in values
        if (key, value) != ("fov_deg", "")
    ),
    Asked("no photo", posted("/api/scenes", form(field="other")), _WRONG),
    Asked("a photo that is text", posted("/api/scenes", form(name=None)), _WRONG),
    Asked("two photos", posted("/api/scenes", form().removesuffix(b"--\r\n") + form()[3:]), _WRONG),
    Asked("no form", posted("/api/scenes", b"no form at all"), _WRONG),
    Asked("a form without an end", posted("/api/scenes", form()[:-8]), _WRONG),
    Asked("no boundary", request("POST", "/api/scenes", form(), "Content-Type: multipart/form-data"), _WRONG),
    Asked(
        "a boundary of a megabyte",
        request("POST", "/api/scenes", form(), "Content-Type: multipart/form-data; boundary=" + "x" * 50_000),
        ("", "400", "422", "431"),
    ),
    Asked(
        "json", request("POST", "/api/scenes", b'{"photo": "' + b"[" * 50_000, "Content-Type: application/json"), _WRONG
    ),
    Asked(
        "a form in a line",
        request("POST", "/api/scenes", b"photo=x&" * 5000, "Content-Type: application/x-www-form-urlencoded"),
        _WRONG,
    ),
    Asked(
        "2,000 files",
        posted("/api/scenes", b"".join(form()[:-8] + b"\r\n" for _ in range(2000)) + b"--x--\r\n"),
        _WRONG,
    ),
    Asked("2,000 fields", posted("/api/scenes", form(more=[("a", "b")] * 2000)), _WRONG),
    Asked("a field of two megabytes", posted("/api/scenes", form(more=[("fov_deg", "1" * 2_000_000)])), ("", *_WRONG)),
    Asked(
        "1,000 headers of a part",
        posted("/api/scenes", b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\nx\r\n--x--\r\n"),
        _WRONG,
    ),
    Asked("a terabyte is promised", posted("/api/scenes", form(), length=10**12), ("413",)),
    Asked("10^100 bytes are promised", posted("/api/scenes", form(), length=10**100), ("", "400", "413")),
    *(
        Asked(f"origin {origin!r}", posted("/api/scenes", form(photo()), f"Origin: {origin}"), ("403",))
        for origin in ("http://evil.example", "null", "https://{host}", "http://{host}.evil.example", "file://", "")
    ),
    *(
        Asked(f"site {site}", posted("/api/scenes", form(photo()), f"Sec-Fetch-Site: {site}"), ("403",))
        for site in ("cross-site", "same-site", "x")
    ),
    Asked(
        "preflight",
        request("OPTIONS", "/api/scenes", b"", "Origin: http://evil.example", "Access-Control-Request-Method: POST"),
        ("403", "405"),
    ),
    Asked(
        "a deletion from elsewhere",
        request("DELETE", "/api/scenes/" + "0" * 32, b"", "Origin: http://evil.example"),
        ("403",),
    ),
    Asked(
        "a websocket",
        request("GET", "/", b"", "Upgrade: websocket", "Sec-WebSocket-Key: eA==", "Sec-WebSocket-Version: 13").replace(
            b"Connection: close", b"Connection: upgrade, close"
        ),
        ("", "200", "400", "403", "426", "500"),
    ),
    *(
        Asked(
            f"{method} of no scene {name[:20]!r}",
            request(method, f"/api/scenes/{name}"),
            ("", "400", "404", "405", "431"),
        )
        for method in ("GET", "DELETE")
        for name in ("0" * 32, "..", "%2e%2e", "x", "%00", "a" * 60_000, "0" * 32 + "/scene.npz")
    ),
    *(
        Asked(f"asset {name}", request("GET", f"/assets/{name}"), GONE)
        for name in (
            "page.html",
            "docs.html",
            "../service.py",
            "..%2fservice.py",
            "%2e%2e/service.py",
            "page.js%00",
            "",
        )
    ),
    *(
        Asked(f"example {name}", request("GET", f"/api/examples/{name}"), GONE)
        for name in ("bedroom", "../photos/bedroom.jpg", "..%2f..%2fREADME.md", "%00", "bedroom.jpg%00", "")
    ),
    *(
        Asked(
            f"ranges {name}",
            request("GET", "/api/examples/bedroom.jpg", b"", f"Range: {value}"),
            ("200", "206", "400", "416"),
        )
        for name, value in (
            ("many", "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 8000, 2))),
            ("backward", "bytes=5-1"),
            ("none", "x=1"),
            ("far", "bytes=999999999999999999-"),
            ("overlapping", "bytes=" + ",".join(["0-"] * 1000)),
            ("digits", "bytes=" + "9" * 5000 + "-"),
        )
    ),
    *(Asked(f"way out {path[:60]}", request("GET", path), GONE) for path in paths("/api/scenes/" + "0" * 32 + "/")),
]
