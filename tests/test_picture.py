"""Still pictures: whatever a file holds, painting starts from upright 8-bit sRGB; results are whole or not there."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from allaprima.errors import SinkError, SourceError
from allaprima.picture import Picture, list_pictures, natural_key, picture_size, read_picture, write_picture

NOISE = np.random.default_rng(3).integers(0, 256, (31, 47, 3), np.uint8)


def srgb_profile() -> bytearray:
    """The bytes of an sRGB profile."""
    return bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


def swapped_profile() -> bytes:
    """An RGB profile whose red and blue primaries are exchanged: the tag table points each at the other."""
    profile = srgb_profile()
    where = {}
    for entry in range(132, 132 + 12 * struct.unpack_from(">I", profile, 128)[0], 12):
        where[bytes(profile[entry : entry + 4])] = entry + 4
    red, blue = where[b"rXYZ"], where[b"bXYZ"]
    profile[red : red + 8], profile[blue : blue + 8] = profile[blue : blue + 8], profile[red : red + 8]
    return bytes(profile)


def ink_profile() -> bytes:
    """A CMYK profile with a table of 2⁴ Lab colors: full cyan prints a middle gray, paper is white, black is black."""
    ramp = bytes(range(256))
    colors = bytearray()
    for node in range(16):
        c, k = node >> 3 & 1, node & 1
        colors += bytes([0 if k else 128 if c else 255, 128, 128])
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0])
    table += struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536) + ramp * 4 + bytes(colors) + ramp * 3
    table += bytes(-len(table) % 4)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags = struct.pack(">I4sII4sII", 2, b"A2B0", 156, len(table), b"wtpt", 156 + len(table), len(white))
    body = tags + table + white
    header = struct.pack(">I4sI4s4s4s", 128 + len(body), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp")
    header = header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + body


def without_adobe(data: bytes) -> bytes:
    """A JPEG without its Adobe marker (APP14)."""
    start = data.index(b"\xff\xee")
    return data[:start] + data[start + 2 + struct.unpack_from(">H", data, start + 2)[0] :]


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """The picture as the EXIF orientation says it is to be shown, after the table of the EXIF standard."""
    how = Image.Transpose
    ways = {2: how.FLIP_LEFT_RIGHT, 3: how.ROTATE_180, 4: how.FLIP_TOP_BOTTOM, 5: how.TRANSPOSE}
    ways |= {6: how.ROTATE_270, 7: how.TRANSVERSE, 8: how.ROTATE_90}
    return image.transpose(ways[orientation]) if orientation > 1 else image


def png_header(width: int, height: int) -> bytes:
    """A PNG that says its size and holds hardly a pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm", ".webp"])
def test_plain_color_is_untouched(tmp_path: Path, suffix: str) -> None:
    """Protects pixels that need no change."""
    path = tmp_path / f"a{suffix}"
    Image.fromarray(NOISE).save(path, lossless=True) if suffix == ".webp" else Image.fromarray(NOISE).save(path)
    picture = read_picture(path)
    assert (picture.pixels == NOISE).all()
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.flags.c_contiguous
    assert picture.alpha is None
    assert picture.notes == ()


def test_name_does_not_matter(tmp_path: Path) -> None:
    """Protects files with a wrong suffix: content decides."""
    Image.fromarray(NOISE).save(tmp_path / "a.jpg", format="PNG")
    assert (read_picture(tmp_path / "a.jpg").pixels == NOISE).all()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_orientation(tmp_path: Path, turn: int, suffix: str) -> None:
    """Protects portraits: all eight EXIF orientations, pixels and alpha, and the size told from the header."""
    exif = Image.Exif()
    exif[0x0112] = turn
    alpha = NOISE[..., :1]
    image = Image.fromarray(np.dstack([NOISE, alpha]))
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    image.save(tmp_path / f"a{suffix}", exif=exif, **options)
    expected = np.asarray(turned(image, turn))
    assert expected.shape[:2] == ((31, 47) if turn < 5 else (47, 31))
    picture = read_picture(tmp_path / f"a{suffix}")
    assert (picture.pixels == expected[..., :3]).all()
    assert (picture.alpha == expected[..., 3]).all()
    assert picture_size(tmp_path / f"a{suffix}") == expected.shape[1::-1]


def test_gray_palette_and_bilevel(tmp_path: Path) -> None:
    """Protects pictures that aren't color: three equal channels, palette looked up, transparency kept."""
    Image.fromarray(NOISE[..., 0]).save(tmp_path / "gray.png")
    assert (read_picture(tmp_path / "gray.png").pixels == NOISE[..., :1]).all()

    Image.fromarray(NOISE[..., :2].copy(), "LA").save(tmp_path / "gray-alpha.png")
    both = read_picture(tmp_path / "gray-alpha.png")
    assert (both.pixels == NOISE[..., :1]).all()
    assert (both.alpha == NOISE[..., 1]).all()

    bits = Image.fromarray((NOISE[..., 0] > 127).astype(np.uint8) * 255).convert("1")
    bits.save(tmp_path / "bits.png")
    assert set(np.unique(read_picture(tmp_path / "bits.png").pixels)) == {0, 255}

    palette = Image.new("P", (2, 1))
    palette.putpalette([200, 100, 50, 1, 2, 3])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "palette.png", transparency=1)
    looked_up = read_picture(tmp_path / "palette.png")
    assert looked_up.pixels[0, 0].tolist() == [200, 100, 50]
    assert looked_up.alpha is not None
    assert looked_up.alpha.tolist() == [[255, 0]]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_rounded(tmp_path: Path, channels: int) -> None:
    """Protects 16-bit scans: scaled by 255/65535 and rounded, not cut to the high byte."""
    deep = np.random.default_rng(5).integers(0, 65536, (9, 11, channels), np.uint16)
    deep[0, :6, :] = np.array([0, 128, 129, 192, 65406, 65535], np.uint16)[:, None]
    cv2.imwrite(str(tmp_path / "a.png"), deep)
    expected = np.round(deep.astype(np.float64) * 255 / 65535).astype(np.uint8)
    picture = read_picture(tmp_path / "a.png")
    assert picture.notes == ("16 bits scaled to 8",)
    if channels == 1:
        assert (picture.pixels == expected).all()
    else:
        assert (picture.pixels == expected[..., 2::-1]).all()
    assert (picture.alpha is None) == (channels < 4)
    if picture.alpha is not None:
        assert (picture.alpha == expected[..., 3]).all()


def test_profile_is_converted(tmp_path: Path) -> None:
    """Protects colors: a profile with red and blue exchanged exchanges them, sRGB's own changes nothing."""
    Image.new("RGB", (4, 4), (250, 10, 30)).save(tmp_path / "swapped.png", icc_profile=swapped_profile())
    picture = read_picture(tmp_path / "swapped.png")
    assert np.abs(picture.pixels.astype(int) - (30, 10, 250)).max() <= 2
    assert picture.notes == ("color profile converted to sRGB",)

    Image.fromarray(NOISE).save(tmp_path / "same.png", icc_profile=bytes(srgb_profile()))
    assert np.abs(read_picture(tmp_path / "same.png").pixels.astype(int) - NOISE).max() <= 1


def test_gray_with_a_color_profile(tmp_path: Path) -> None:
    """Protects gray pictures that a camera tagged as sRGB."""
    Image.fromarray(NOISE[..., 0]).save(tmp_path / "a.png", icc_profile=bytes(srgb_profile()))
    assert np.abs(read_picture(tmp_path / "a.png").pixels.astype(int) - NOISE[..., :1]).max() <= 1


def test_profiles_that_do_not_fit_are_said(tmp_path: Path) -> None:
    """Protects against silence: a damaged profile or one for other pixels is left out, and a note says so."""
    Image.fromarray(NOISE).save(tmp_path / "broken.png", icc_profile=b"not a profile" * 20)
    Image.fromarray(NOISE).save(tmp_path / "ink.png", icc_profile=ink_profile())
    for name, says in (("broken.png", "can't be used"), ("ink.png", "is for CMYK")):
        picture = read_picture(tmp_path / name)
        assert (picture.pixels == NOISE).all()
        assert says in " ".join(picture.notes)


def test_ink(tmp_path: Path) -> None:
    """Protects CMYK: paper is white with Adobe's inversion and without, and a profile gives the inks their colors."""
    paper, cyan = (0, 0, 0, 0), (255, 0, 0, 0)
    for color, plain in ((paper, (255, 255, 255)), (cyan, (0, 255, 255))):
        memory = io.BytesIO()
        Image.new("CMYK", (16, 16), color).save(memory, format="JPEG", quality=100)
        (tmp_path / "adobe.jpg").write_bytes(memory.getvalue())
        picture = read_picture(tmp_path / "adobe.jpg")
        assert np.abs(picture.pixels.astype(int) - plain).max() <= 2
        assert picture.notes == ("CMYK without a color profile converted plainly",)

        inverted = io.BytesIO()
        Image.new("CMYK", (16, 16), tuple(255 - ink for ink in color)).save(inverted, format="JPEG", quality=100)
        (tmp_path / "bare.jpg").write_bytes(without_adobe(inverted.getvalue()))
        assert np.abs(read_picture(tmp_path / "bare.jpg").pixels.astype(int) - plain).max() <= 2

    Image.new("CMYK", (16, 16), cyan).save(tmp_path / "profile.jpg", quality=100, icc_profile=ink_profile())
    picture = read_picture(tmp_path / "profile.jpg")
    assert picture.notes == ("color profile converted to sRGB",)
    assert np.ptp(picture.pixels.astype(int), axis=-1).max() <= 3, "this ink prints gray"
    assert 100 < picture.pixels.mean() < 140


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_first_of_several(tmp_path: Path, suffix: str) -> None:
    """Protects animations and pages: the first picture is painted and a note says so."""
    first, *rest = (Image.new("RGB", (8, 8), (level, level, level)) for level in (40, 120, 200))
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=rest)
    picture = read_picture(tmp_path / f"a{suffix}")
    assert np.abs(picture.pixels.astype(int) - 40).max() <= 3
    assert "first of 3 pictures in the file" in picture.notes


def test_one_pixel(tmp_path: Path) -> None:
    """Protects the smallest picture."""
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").pixels.tolist() == [[[1, 2, 3]]]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """Protects the user: each kind of bad input is named in one line that says the file."""
    memory = {}
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF"):
        data = io.BytesIO()
        Image.fromarray(np.kron(NOISE, np.ones((4, 4, 1), np.uint8))).save(data, format=kind)
        memory[kind] = data.getvalue()
    deep = cv2.imencode(".png", np.random.default_rng(1).integers(0, 65536, (40, 40, 3), np.uint16))[1].tobytes()
    Image.new("F", (4, 4)).save(tmp_path / "float.tif")
    files = {
        "empty": (b"", "is empty"),
        "text": (b"hello, this is no picture at all\n" * 9, "not a picture"),
        "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        "start": (memory["PNG"][:10], "not a picture"),
        **{f"half.{kind.lower()}": (data[: len(data) // 2], "") for kind, data in memory.items()},
        "deep": (deep[: len(deep) // 2], "cut short"),
        "40k": (png_header(40000, 40000), "more than 1000 megapixels"),
        "bomb": (png_header(60000, 60000), "more than 1000 megapixels"),
        "32k": (png_header(32000, 32000), "is 32000×32000, more than 1000 megapixels"),
        "few": (png_header(300, 300), "damaged or cut short"),
    }
    for name, (data, _) in files.items():
        (tmp_path / name).write_bytes(data)
    for name, says in {
        **{name: says for name, (_, says) in files.items()},
        "float.tif": "32-bit pixels",
        "missing": "no file",
        "text/inside": "no file",
        ".": "can't read",
    }.items():
        with pytest.raises(SourceError) as caught:
            read_picture(tmp_path / name)
        assert says in str(caught.value), name
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_pillows_own_limit_is_not_ours(tmp_path: Path) -> None:
    """Protects 200-megapixel photographs, and whoever else uses Pillow in the process: its limit is as it was."""
    before = Image.MAX_IMAGE_PIXELS
    (tmp_path / "large.png").write_bytes(png_header(20000, 10000))
    assert picture_size(tmp_path / "large.png") == (20000, 10000)
    assert before == Image.MAX_IMAGE_PIXELS


def test_limit_can_be_set(tmp_path: Path) -> None:
    """Protects callers with less memory."""
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    with pytest.raises(SourceError, match="47×31"):
        read_picture(tmp_path / "a.png", max_pixels=1000)


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".tiff", ".avif"])
def test_alpha_is_kept(tmp_path: Path, suffix: str) -> None:
    """Protects cut-out pictures where the format holds an alpha, scaled where the painting has another size."""
    alpha = np.zeros((31, 47), np.uint8)
    alpha[:, 20:] = 255
    like = Picture(NOISE, alpha)
    assert write_picture(tmp_path / f"a{suffix}", NOISE, like) == ()
    again = read_picture(tmp_path / f"a{suffix}")
    assert again.alpha is not None
    assert (again.alpha == alpha).all()
    write_picture(tmp_path / f"half{suffix}", NOISE[:15, :23].copy(), like)
    half = read_picture(tmp_path / f"half{suffix}").alpha
    assert half is not None
    assert half.shape == (15, 23)
    assert (half[:, 0].max(), half[:, -1].min()) == (0, 255)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".bmp"])
def test_alpha_is_laid_over_white(tmp_path: Path, suffix: str) -> None:
    """Protects formats without alpha: clear shows white, half is half, and a note says so."""
    alpha = np.repeat(np.array([0, 128, 255], np.uint8), 16)[None].repeat(16, axis=0)
    black = np.zeros((16, 48, 3), np.uint8)
    notes = write_picture(tmp_path / f"a{suffix}", black, Picture(black, alpha))
    assert "laid over white" in notes[0]
    pixels = read_picture(tmp_path / f"a{suffix}").pixels
    assert np.abs(pixels[8, [8, 24, 40], 0].astype(int) - (255, 127, 0)).max() <= 2


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".avif"])
def test_result_is_tagged_and_repeatable(tmp_path: Path, suffix: str) -> None:
    """Protects colors and caches: sRGB is said, orientation isn't, the same pixels give the same bytes."""
    for name in ("a", "b"):
        write_picture(tmp_path / f"{name}{suffix}", NOISE)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.getexif().get(0x0112, 1) == 1
        if suffix == ".png":
            assert b"sRGB" in (tmp_path / "a.png").read_bytes()[:80]
        else:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
            assert "sRGB" in ImageCms.getProfileDescription(profile)
    if suffix in (".png", ".tif"):
        assert np.abs(read_picture(tmp_path / f"a{suffix}").pixels.astype(int) - NOISE).max() <= 1


def test_existing_file_is_kept(tmp_path: Path) -> None:
    """Protects the user's file: replaced with the flag alone, and never left half written."""
    path = tmp_path / "a.png"
    path.write_text("mine")
    with pytest.raises(SinkError, match="--overwrite"):
        write_picture(path, NOISE)
    assert path.read_text() == "mine"
    write_picture(path, NOISE, overwrite=True)
    assert (read_picture(path).pixels == NOISE).all()
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_failure_while_writing_leaves_nothing(tmp_path: Path) -> None:
    """Protects an earlier result when encoding fails: WebP ends at 16383 pixels."""
    path = tmp_path / "a.webp"
    path.write_text("earlier")
    with pytest.raises(SinkError, match="can't write"):
        write_picture(path, np.zeros((1, 16500, 3), np.uint8), overwrite=True)
    assert path.read_text() == "earlier"
    assert [p.name for p in tmp_path.iterdir()] == ["a.webp"]


def test_destinations_that_are_refused(tmp_path: Path) -> None:
    """Protects against writing nowhere: one line for each."""
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("")
    for path, says in (
        (tmp_path / "a.xyz", "use .avif, .bmp"),
        (tmp_path / "a", "can't write 'a'"),
        (tmp_path / "folder.png", "is a folder"),
        (tmp_path / "missing" / "a.png", "no folder"),
        (tmp_path / "file" / "a.png", "no folder"),
    ):
        with pytest.raises(SinkError) as caught:
            write_picture(path, NOISE)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)


def test_natural_order(tmp_path: Path) -> None:
    """Protects numbered names without leading zeros, and names with digits that aren't ASCII."""
    names = ["a1.png", "A2.png", "a10.png", "a10b.png", "b.png", "x².png"]
    assert sorted([names[i] for i in (4, 2, 5, 0, 3, 1)], key=natural_key) == names
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "readme.md").touch()
    assert [path.name for path in list_pictures(tmp_path)] == names
