"""Makes image files, whole and damaged, and writes what Pillow reads of them: image_files.py FOLDER.

FOLDER/files has them, and FOLDER/images.safetensors the pixels: FILE|MODE, [bands, H, W], or none where
Pillow refuses the file. A mode ends in "+exif" where the image is turned upright.
"""

import base64
import importlib.util
import io
import json
import pathlib
import random
import struct
import sys
import warnings
import zlib

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors.torch import save_file

MODES = ["", "L", "LA", "RGB", "RGBA", "CMYK", "I", "I;16"]

# Pillow writes no arithmetic coding; jpegtran has made these two.
ARITHMETIC = {"arithmetic": """
/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9
lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHz/yQARCAAUABsD
ASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/ADJI9+2nPsSYrLg3pFxJsdkp+jpKvrkVnVY15PQs3+ofU6AR9Yd0iypKxP2dJtAT
eo0foRBlhEJYZan3G/D3J8JgMGTwGvb1s1zQeIc6dOxYMmSqLPMrVBblWlfpnfI9jCQ6aekIIh3OklcUtED/2Q==""", "arithmetic_progressive": """
/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9
lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHz/ygARCAAUABsD
ASIAAhEBAxEB/8wABgAQARD/2gAMAwEAAhADEAAAAf5PpihsX8Bs8vNfSKsX3djH2wr/zAAEEAX/2gAIAQEAAQUCo+PmkOOXISsZHv/MAAQRBf/a
AAgBAwEBPwEak5fM0UhUEJj/zAAEEQX/2gAIAQIBAT8BNqJkRaFU7vDi/8wABBAF/9oACAEBAAY/AsD/zAAEEAX/2gAIAQEAAT8hm06Fowj5+Zmk
cf/aAAwDAQACAAMAAAAQcSDC/8wABBEF/9oACAEDAQE/EP8AI1PNc2YTwP/MAAQRBf/aAAgBAgEBPxCrT9yhgf8A3nT/zAAEEAX/2gAIAQEAAT8Q
0xvBB9TNVWgVqaGj9LUjL1shmClrXoz8D4gjmv/Z"""}

files = {}
noise = np.random.default_rng(1)
draw = random.Random(1)


def picture(height, width, bands=3):
    """Waves and some noise, so that neither a compression nor a color is idle."""
    y, x = np.mgrid[:height, :width]
    planes = [128 + 90 * np.sin(x / (5 + 3 * band) + band) * np.cos(y / (7 - band)) for band in range(bands)]
    pixels = np.stack(planes, -1) + noise.normal(0, 9, (height, width, bands))
    return pixels.clip(0, 255).astype(np.uint8)[..., 0 if bands == 1 else slice(None)]


def jpeg(name, image, **options):
    data = io.BytesIO()
    image.save(data, "JPEG", **options)
    files[f"jpeg_{name}.jpg"] = data.getvalue()
    return data.getvalue()


def exif(order, orientation, kind=3):
    size = {1: "B", 3: "H", 4: "I"}[kind]
    entry = struct.pack(order + "HHI" + size, 0x0112, kind, 1, orientation)
    return struct.pack(order + "2sHIHHHII", b"II" if order == "<" else b"MM", 42, 8, 2, 0x0100, 3, 1, 77)[:-4] + \
        struct.pack(order + "I", 77) + entry.ljust(12, b"\0") + b"\0\0\0\0"


def jpegs():
    rgb = Image.fromarray(picture(37, 53))
    for name, options in {"444": {"subsampling": 0}, "422": {"subsampling": 1}, "420": {"subsampling": 2},
                          "q5": {"quality": 5}, "q100": {"quality": 100}, "progressive": {"progressive": True},
                          "optimized": {"optimize": True}, "rgb": {"keep_rgb": True},
                          "restarts": {"restart_marker_blocks": 1}, "restart_rows": {"restart_marker_rows": 1},
                          "comment": {"comment": b"x" * 60000}, "profile": {"icc_profile": b"p" * 100000}}.items():
        jpeg(name, rgb, **options)
    jpeg("grey", Image.fromarray(picture(20, 31, 1)))
    jpeg("grey_progressive", Image.fromarray(picture(20, 31, 1)), progressive=True)
    cmyk = jpeg("cmyk", Image.fromarray(picture(19, 33, 4), "CMYK"))
    adobe = cmyk.index(b"Adobe")
    files["jpeg_ycck.jpg"] = cmyk[:adobe + 11] + b"\x02" + cmyk[adobe + 12:]
    for size in [(1, 1), (1, 17), (16, 1), (8, 8), (7, 9), (17, 15), (33, 2)]:
        jpeg(f"size_{size[0]}_{size[1]}", Image.fromarray(picture(*size)), subsampling=draw.choice([0, 1, 2]))
    for orientation in range(10):
        order = "<>"[orientation % 2]
        jpeg(f"exif_{orientation}", Image.fromarray(picture(9, 14)),
             exif=b"Exif\0\0" + exif(order, orientation, [3, 4, 1][orientation % 3] if order == "<" else 3))
    for name, code in ARITHMETIC.items():
        files[f"jpeg_{name}.jpg"] = base64.b64decode(code)

    whole = jpeg("whole", rgb, quality=60)
    progressive = files["jpeg_progressive.jpg"]
    frame = whole.index(b"\xff\xc0")
    scan = whole.index(b"\xff\xda")
    def changed(at, data): return whole[:at] + data + whole[at + len(data):]
    for part in range(1, 10):
        files[f"jpeg_cut_{part}.jpg"] = whole[:len(whole) * part // 10]
        files[f"jpeg_progressive_cut_{part}.jpg"] = progressive[:len(progressive) * part // 10]
    files.update({"jpeg_no_end.jpg": whole[:-2], "jpeg_half_an_end.jpg": whole[:-1], "jpeg_more.jpg": whole + b"more" * 99,
              "jpeg_begin.jpg": whole[:3], "jpeg_huge.jpg": changed(frame + 5, b"\xea\x60\xea\x60"),
              "jpeg_no_rows.jpg": changed(frame + 5, b"\0\0"), "jpeg_no_columns.jpg": changed(frame + 7, b"\0\0"),
              "jpeg_12_bits.jpg": changed(frame + 4, b"\x0c"), "jpeg_lossless.jpg": changed(frame + 1, b"\xc3"),
              "jpeg_2_components.jpg": changed(frame + 9, b"\x02"), "jpeg_taller.jpg": changed(frame + 5, b"\1\0"),
              "jpeg_junk_between.jpg": whole[:frame] + b"junk" + whole[frame:],
              "jpeg_filled_markers.jpg": whole[:frame] + b"\xff\xff\xff" + whole[frame:],
              "jpeg_ends_at_once.jpg": whole[:scan + 14] + b"\xff\xd9",
              "jpeg_no_tables.jpg": whole[:whole.index(b"\xff\xc4")] + whole[scan:],
              "jpeg_odd_marker.jpg": changed(scan + 20, b"\xff\xc5"),
              "jpeg_restart_inside.jpg": changed(scan + 40, b"\xff\xd3")})
    for number in range(12):
        data = bytearray(whole)
        for _ in range(1 + number % 3):
            data[draw.randrange(scan + 14, len(whole) - 2)] = draw.choice([0, 1, 2, 77, 254])
        files[f"jpeg_flipped_{number}.jpg"] = bytes(data)


def chunk(name, data=b"", wrong=0):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data) ^ wrong)


CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def rows_of(pixels, depth, filters=(0,)):
    """Rows of samples [H, W * bands] as PNG packs and filters them; the filters are wrong on purpose nowhere."""
    before = None
    for number, row in enumerate(pixels):
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        elif depth == 8:
            packed = row.astype(np.uint8).tobytes()
        else:
            bits = "".join(format(int(x), f"0{depth}b") for x in row)
            bits += "0" * (-len(bits) % 8)
            packed = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
        step = max(len(packed) * 8 // (8 * max(len(row), 1)), 1) if depth >= 8 else 1
        yield filters[number % len(filters)], packed, before, step
        before = packed


def filtered(kind, row, before, step):
    out = bytearray()
    for i, x in enumerate(row):
        a = row[i - step] if i >= step else 0
        b = before[i] if before else 0
        c = before[i - step] if before and i >= step else 0
        near = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
        out.append((x - [0, a, b, (a + b) // 2, near][kind]) % 256)
    return bytes(out)


def png(name, color, depth, size=(13, 18), interlace=0, filters=(0, 1, 2, 3, 4), before=(), after=(), data=None,
        parts=1, most=None, end=True):
    height, width = size
    bands = CHANNELS[color]
    pixels = noise.integers(0, (most or 2 ** depth), (height, width, bands))
    pixels[0, :3] = pixels[0, 0]
    raw = b""
    for top, left, down, right in PASSES if interlace else [(0, 0, 1, 1)]:
        part = pixels[top::down, left::right]
        if part.size:
            for kind, row, last, _ in rows_of(part.reshape(len(part), -1), depth, filters):
                raw += bytes([kind]) + filtered(kind, row, last, max(bands * depth // 8, 1))
    packed = zlib.compress(raw) if data is None else data(raw)
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace)
    cuts = [len(packed) * i // parts for i in range(parts + 1)]
    files[f"png_{name}.png"] = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(before) + b"".join(
        chunk(b"IDAT", packed[a:b]) for a, b in zip(cuts, cuts[1:])) + b"".join(after) + (chunk(b"IEND") if end else b"")
    return files[f"png_{name}.png"], pixels


def pngs():
    colors = noise.integers(0, 256, 768).astype(np.uint8).tobytes()
    for color, depths in {0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16]}.items():
        for depth in depths:
            palette = [chunk(b"PLTE", colors[:3 * 2 ** depth])] if color == 3 else []
            for interlace in [0, 1]:
                png(f"color{color}_depth{depth}_interlace{interlace}", color, depth, interlace=interlace, before=palette)
    for depth in [1, 2, 4, 8, 16]:
        for value in [0, 1]:
            key = value if depth < 8 else 256 * value + 7
            png(f"grey{depth}_transparent_{value}", 0, depth, before=[chunk(b"tRNS", struct.pack(">H", key))], most=min(2 ** depth, 16))
    png("rgb8_transparent", 2, 8, before=[chunk(b"tRNS", struct.pack(">HHH", 1, 0, 1))], most=2, size=(30, 30))
    png("rgb16_transparent", 2, 16, before=[chunk(b"tRNS", struct.pack(">HHH", 257, 0, 1))], most=300, size=(30, 30))
    for name, alphas in {"all": bytes(range(0, 256)), "some": b"\x10\x80\xff\x00", "one": b"\xff\xff\x00\xff"}.items():
        png(f"palette_transparent_{name}", 3, 8, before=[chunk(b"PLTE", colors), chunk(b"tRNS", alphas)], most=8)
    png("palette_short", 3, 8, before=[chunk(b"PLTE", colors[:30])])
    png("palette_short_transparent", 3, 8, before=[chunk(b"PLTE", colors[:30]), chunk(b"tRNS", b"\x05\x09")])
    png("no_palette", 3, 8)
    png("palette_of_rgb", 2, 8, before=[chunk(b"PLTE", colors)])
    for size in [(1, 1), (1, 9), (9, 1), (5, 3), (2, 2), (64, 7)]:
        png(f"size_{size[0]}_{size[1]}", 2, 8, size=size, interlace=draw.randrange(2))
        png(f"grey1_size_{size[0]}_{size[1]}", 0, 1, size=size, interlace=draw.randrange(2))
    png("parts", 6, 8, parts=7)
    png("many_empty_parts", 2, 8, after=[chunk(b"IDAT")] * 3)
    png("gamma", 2, 8, before=[chunk(b"gAMA", struct.pack(">I", 20000))])
    png("gamma16", 0, 16, before=[chunk(b"gAMA", struct.pack(">I", 20000))])
    png("background", 6, 8, before=[chunk(b"bKGD", b"\0\1\0\2\0\3")])
    png("significant", 2, 8, before=[chunk(b"sBIT", b"\5\5\5")])
    png("profile", 2, 8, before=[chunk(b"iCCP", b"name\0\0" + zlib.compress(b"profile" * 99))])
    png("bad_profile", 2, 8, before=[chunk(b"iCCP", b"name\0\0rubbish")])
    png("text", 2, 8, before=[chunk(b"tEXt", b"key\0value"), chunk(b"zTXt", b"k\0\0" + zlib.compress(b"v" * 9))])
    png("text_bomb", 2, 8, before=[chunk(b"zTXt", b"k\0\0" + zlib.compress(b"v" * 3_000_000))])
    png("unknown", 2, 8, before=[chunk(b"quEe", b"?" * 1000)])
    png("unknown_critical", 2, 8, before=[chunk(b"QUEE", b"?")])
    for orientation in [3, 6, 8]:
        png(f"exif_{orientation}", 2, 8, before=[chunk(b"eXIf", exif("<", orientation))])
    png("exif_after", 2, 8, after=[chunk(b"eXIf", exif(">", 6))])
    png("exif_of_128_mb", 2, 8, after=[struct.pack(">I", 2 ** 27) + b"eXIfMM\0*"])
    png("more_pixels", 2, 8, data=lambda raw: zlib.compress(raw + b"more" * 99))
    png("fewer_pixels", 2, 8, data=lambda raw: zlib.compress(raw[:-30]))
    png("after_the_stream", 2, 8, data=lambda raw: zlib.compress(raw) + b"rubbish")
    png("bad_adler", 2, 8, data=lambda raw: zlib.compress(raw)[:-4] + b"\1\2\3\4")
    png("no_adler", 2, 8, data=lambda raw: zlib.compress(raw)[:-4])
    png("stored", 2, 8, data=lambda raw: zlib.compress(raw, 0))
    png("small_window", 2, 8, data=lambda raw: b"".join([(z := zlib.compressobj(9, zlib.DEFLATED, 9)).compress(raw), z.flush()]))
    png("bad_filter", 2, 8, data=lambda raw: zlib.compress(b"\7" + raw[1:]))
    png("bad_zlib", 2, 8, data=lambda raw: b"rubbish")
    png("bomb", 0, 1, size=(3, 3), data=lambda raw: zlib.compress(b"\0" * 30_000_000))
    png("no_end", 2, 8, end=False)
    bad = {"depth": (8, b"\x03"), "color": (9, b"\x05"), "compression": (10, b"\x01"), "filter": (11, b"\x01"),
           "interlace": (12, b"\x02"), "no_columns": (0, b"\0\0\0\0"), "no_rows": (4, b"\0\0\0\0"),
           "huge": (0, struct.pack(">II", 60000, 60000)), "most": (0, struct.pack(">II", 2 ** 31, 1)),
           "widest": (0, struct.pack(">II", 2 ** 31 - 1, 1)),
           "larger": (4, struct.pack(">I", 9000))}
    whole, _ = png("whole", 2, 8, size=(20, 30))
    for name, (at, value) in bad.items():
        header = bytearray(whole[16:29])
        header[at:at + len(value)] = value
        files[f"png_header_{name}.png"] = whole[:8] + chunk(b"IHDR", bytes(header)) + whole[33:]
    for part in range(1, 10):
        files[f"png_cut_{part}.png"] = whole[:len(whole) * part // 10]
    at = whole.index(b"IDAT")
    size = struct.unpack(">I", whole[at - 4:at])[0]
    files["png_cut_before_end.png"] = whole[:at + 4 + size]
    files["png_wrong_sum_of_pixels.png"] = whole[:at + 4 + size] + b"\1\2\3\4" + whole[at + 8 + size:]
    files["png_wrong_sum_of_header.png"] = whole[:29] + b"\1\2\3\4" + whole[33:]
    files["png_wrong_sum_of_text.png"] = whole[:33] + chunk(b"tEXt", b"a\0b", 5) + whole[33:]
    files["png_signature.png"] = whole[:6] + b"\n\n" + whole[8:]
    files["png_no_pixels.png"] = whole[:33] + chunk(b"IEND")
    for number in range(8):
        data = bytearray(whole)
        data[draw.randrange(at + 8, at + size)] ^= 1 << draw.randrange(8)
        files[f"png_flipped_{number}.png"] = bytes(data)
    frames = [Image.fromarray(picture(11, 12)) for _ in range(3)]
    for default in [False, True]:
        data = io.BytesIO()
        frames[0].save(data, "PNG", save_all=True, append_images=frames[1:], default_image=default)
        files[f"png_animation_{default}.png"] = data.getvalue()


def ppms():
    def add(name, head, body): files[f"ppm_{name}.ppm"] = head + body
    bytes_ = bytes(draw.randrange(256) for _ in range(300))
    text = " ".join(str(draw.randrange(256)) for _ in range(99)).encode()
    add("p1", b"P1\n# a comment\n7 3\n", b"0101010 1 1 1 0\n0110010101")
    add("p1_glued", b"P1 3 2 ", b"010111")
    add("p1_bad", b"P1 3 2 ", b"010211")
    add("p2", b"P2\n5 4\n255\n", text)
    add("p2_7", b"P2\n5 4\n7\n", b" ".join(b"%d" % (i % 8) for i in range(20)))
    add("p2_1000", b"P2\n5 4\n1000\n", b" ".join(b"%d" % (i * 50) for i in range(20)))
    add("p2_above", b"P2\n2 2\n7\n", b"1 2 3 8")
    add("p2_comment", b"P2\n2 2 # sides\n255 #\n", b"1 2 # inside\n3 4")
    add("p2_long", b"P2\n2 2\n255\n", b"1 2 3 00000000000004")
    add("p2_word", b"P2\n2 2\n255\n", b"1 2 three 4")
    add("p2_negative", b"P2\n2 2\n255\n", b"1 2 -3 4")
    add("p2_cut", b"P2\n2 2\n255\n", b"1 2 3")
    add("p3", b"P3\n3 4\n255\n", text)
    add("p3_15", b"P3\n2 2\n15\n", b" ".join(b"%d" % (i % 16) for i in range(12)))
    add("p4", b"P4\n19 5\n", bytes_)
    add("p4_cut", b"P4\n19 5\n", bytes_[:14])
    add("p5", b"P5\n9 7\n255\n", bytes_)
    add("p5_15", b"P5\n9 7\n15\n", bytes(x % 16 for x in bytes_))
    add("p5_above", b"P5\n9 7\n15\n", bytes_)
    add("p5_1000", b"P5\n9 7\n1000\n", bytes(x % 4 if i % 2 == 0 else x for i, x in enumerate(bytes_)))
    add("p5_65535", b"P5\n9 7\n65535\n", bytes_)
    add("p5_cut", b"P5\n9 7\n255\n", bytes_[:62])
    add("p6", b"P6\n9 7\n255\n", bytes_)
    add("p6_100", b"P6\n9 7\n100\n", bytes(x % 101 for x in bytes_))
    add("p6_300", b"P6\n5 4\n300\n", bytes(x % 2 if i % 2 == 0 else x // 8 for i, x in enumerate(bytes_)))
    add("p6_65535", b"P6\n5 4\n65535\n", bytes_)
    add("p6_cut", b"P6\n9 7\n255\n", bytes_[:150])
    add("p6_comment", b"P6 # a\n9 7#b\n255\n", bytes_)
    add("p6_returns", b"P6\r9\x0b7\t255\r", bytes_)
    add("no_maxval", b"P6\n9 7\n", bytes_)
    add("maxval_0", b"P6\n9 7\n0\n", bytes_)
    add("maxval_65536", b"P6\n9 7\n65536\n", bytes_)
    add("no_columns", b"P6\n0 7\n255\n", bytes_)
    add("negative", b"P6\n-9 7\n255\n", bytes_)
    add("huge", b"P6\n60000 60000\n255\n", bytes_)
    add("long_number", b"P6\n99999999999999999999 1\n255\n", bytes_)
    add("p7", b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\n", b"a")
    add("head_only", b"P6", b"")
    files.update({"empty": b"", "text.txt": b"not an image", "gif.gif": b"GIF89a" + b"\0" * 20})


def pixels_of(image):
    if image.mode in ("1", "L", "P"):
        image = image.convert("L") if image.mode == "1" else image
        return torch.from_numpy(np.array(image))[None]
    pixels = torch.from_numpy(np.array(image).astype(np.int32) if image.mode.startswith("I") else np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def read(data, mode, upright):
    image = Image.open(io.BytesIO(data))
    if image.format not in ("JPEG", "PNG", "PPM", "MPO"):
        raise ValueError(f"of format {image.format}")
    image.load()
    if upright:
        image = ImageOps.exif_transpose(image)
    return pixels_of(image.convert(mode) if mode else image).contiguous()


folder = pathlib.Path(sys.argv[1])
(folder / "files").mkdir(parents=True, exist_ok=True)
warnings.simplefilter("ignore")
jpegs()
pngs()
ppms()
photographs = pathlib.Path(importlib.util.find_spec("sklearn").origin).parent / "datasets" / "images"
for name in ["china", "flower"]:
    files[f"photo_{name}.jpg"] = (photographs / f"{name}.jpg").read_bytes()
    data = io.BytesIO()
    Image.open(photographs / f"{name}.jpg").save(data, "PNG")
    files[f"photo_{name}.png"] = data.getvalue()
tensors = {}
refused = {}
for name, data in files.items():
    (folder / "files" / name).write_bytes(data)
    is_photo = name.startswith("photo")
    for mode in ["RGB", "L", "CMYK"] if is_photo else MODES + ["RGB+exif"]:
        kind, _, upright = mode.partition("+")
        try:
            tensors[f"{name}|{mode}"] = read(data, kind, upright)
        except Exception as error:
            refused[f"{name}|{mode}"] = f"{type(error).__name__}: {error}"[:200]
save_file({key: value.clone() for key, value in tensors.items()}, folder / "images.safetensors")
written = {}
for bands in [1, 2, 3, 4]:
    for quality in [0, 1, 30, 75, 95, 100]:
        pixels = picture(draw.randint(1, 40), draw.randint(1, 40), bands)
        name = f"{bands}|{quality}"
        written[name + ".pixels"] = torch.from_numpy(pixels)[None] if bands == 1 else torch.from_numpy(pixels).permute(2, 0, 1)
        if bands in (1, 3):
            data = io.BytesIO()
            Image.fromarray(pixels).save(data, "JPEG", quality=quality)
            written[name + ".jpeg"] = torch.frombuffer(bytearray(data.getvalue()), dtype=torch.uint8)
save_file({key: value.contiguous() for key, value in written.items()}, folder / "written.safetensors")
(folder / "refused.json").write_text(json.dumps(refused, indent=1))
