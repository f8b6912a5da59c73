"""The image formats that are read, and the kind of any other file by its first bytes."""

import codecs

# The formats that are read, in Pillow's words, and the endings of their names. Pillow may try no other format: it runs
# Ghostscript on an EPS, and takes any bytes for a TGA.
FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "AVIF": (".avif",),
    "JPEG2000": (".jp2", ".j2k", ".jpf", ".jpx", ".j2c"),
    "ICO": (".ico",),
}
EXTENSIONS = tuple(ending for endings in FORMATS.values() for ending in endings)
# At most this many bytes of a file tell its kind, because a page of HTML may begin with a long comment.
HEAD_BYTES = 1024

_BEGINNINGS = (
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"\0\0\1\0", "an icon"),
    *((b"P%d" % number, "a PNM image") for number in range(1, 7)),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 image"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL image"),
    (b"\xff\x0a", "a JPEG XL image"),
    (b"8BPS", "a Photoshop file"),
    (b"%!PS", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"%PDF", "a PDF"),
    (b"PK\3\4", "a zip file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip file"),
    (b"Rar!", "a RAR file"),
    (b"\x1aE\xdf\xa3", "a film (Matroska or WebM)"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"v/1\x01", "an OpenEXR image"),
    (b"#?RADIANCE", "a Radiance image"),
    (b"SIMPLE  =", "a FITS image"),
    (b"\0\x05\x16\x07", "a macOS resource file"),
    (b"\x7fELF", "a program"),
    (b"version https://git-lfs.github.com/", "a Git LFS pointer: `git lfs pull` gets the image"),
    (b"/annex/objects/", "a git-annex pointer: `git annex get` gets the image"),
    (b"../.git/annex/", "a git-annex pointer: `git annex get` gets the image"),
)
# The brands of the container of MPEG-4, which holds images and films.
_BRANDS = {
    b"heic": "a HEIC image",
    b"heix": "a HEIC image",
    b"hevc": "a HEIC image",
    b"heim": "a HEIC image",
    b"avif": "an AVIF image",
    b"avis": "an AVIF image",
    b"mif1": "a HEIF image",
    b"msf1": "a HEIF image",
    b"crx ": "a Canon raw image",
}
# The kinds of the formats that are read.
READABLE = (
    "a JPEG image",
    "a PNG image",
    "a PNM image",
    "a BMP image",
    "a TIFF image",
    "a WebP image",
    "a GIF image",
    "an AVIF image",
    "a JPEG 2000 image",
    "an icon",
)
_PAGES = (b"<!doctype html", b"<html", b"<head", b"<body")


def kind_of(head: bytes) -> str:
    """Return what a file is by its first HEAD_BYTES bytes, such as "a HEIC image", with its article."""
    if not head:
        return "empty"
    if head[4:8] == b"ftyp":
        brands = (head[start : start + 4] for start in (8, *range(16, min(len(head), 64), 4)))
        kinds = [_BRANDS[brand] for brand in brands if brand in _BRANDS]
        return next((kind for kind in kinds if kind != "a HEIF image"), kinds[0] if kinds else "a film (MPEG-4)")
    if head[:4] == b"RIFF":
        return {b"WEBP": "a WebP image", b"AVI ": "a film (AVI)"}.get(head[8:12], "a RIFF file")
    if head[128:132] == b"DICM":
        return "a DICOM image"
    for beginning, kind in _BEGINNINGS:
        if head.startswith(beginning):
            return kind
    if not any(head):
        return "nothing but zero bytes"
    return _kind_of_text(head.removeprefix(b"\xef\xbb\xbf").lstrip().lower())


def _kind_of_text(text: bytes) -> str:
    if any(page in text for page in _PAGES):
        return "an HTML page"
    if b"<svg" in text:
        return "an SVG drawing"
    if text.startswith(b"<?xml"):
        return "an XML file"
    try:
        letters = codecs.getincrementaldecoder("utf-8")().decode(text)  # the last letter may be cut
    except UnicodeDecodeError:
        return "of no known kind"
    return "of no known kind" if any(letter < " " and not letter.isspace() for letter in letters) else "text"
