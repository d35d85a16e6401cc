"""Files as ComfyUI and its nodes save them, byte by byte: for tests of what is read back out of them."""

from __future__ import annotations

import json
import struct
import zlib

PIXEL = zlib.compress(b"\0\0\0\0")


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG, with its check sum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks: bytes, late: bytes = b"") -> bytes:
    """A picture of one pixel, with chunks before and after it."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", PIXEL) + late + chunk(b"IEND", b"")


def text(keyword: str, value: str) -> bytes:
    return chunk(b"tEXt", keyword.encode() + b"\0" + value.encode("latin-1"))


def packed(keyword: str, value: bytes) -> bytes:
    return chunk(b"zTXt", keyword.encode() + b"\0\0" + zlib.compress(value))


def international(keyword: str, value: str, *, pack: bool = False) -> bytes:
    body = zlib.compress(value.encode()) if pack else value.encode()
    return chunk(b"iTXt", keyword.encode() + (b"\0\1\0" if pack else b"\0\0\0") + b"en\0\0" + body)


def animated(keyword: str, value: str) -> bytes:
    return chunk(b"comf", keyword.encode() + b"\0" + value.encode())


def exif(*texts: str, order: str = "<", start: int = 0x0110) -> bytes:
    """A TIFF with ASCII tags from `start` downwards."""
    count = len(texts)
    data = 8 + 2 + 12 * count + 4
    entries, values = b"", b""
    for number, each in enumerate(texts):
        value = each.encode() + b"\0"
        entries += struct.pack(f"{order}HHII", start - number, 2, len(value), data + len(values))
        values += value
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", count) + entries + b"\0\0\0\0" + values


def webp(tiff: bytes, *, prefix: bytes = b"") -> bytes:
    body = b"WEBP" + b"VP8 " + struct.pack("<I", 3) + b"abc\0"
    content = prefix + tiff
    body += b"EXIF" + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg(tiff: bytes) -> bytes:
    content = b"Exif\0\0" + tiff
    return b"\xff\xd8\xff\xe0\0\4ab" + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + b"\xff\xda\0\2x"


def flac(**comments: str) -> bytes:
    entries = [f"{name}={value}".encode() for name, value in comments.items()]
    block = struct.pack("<I", 4) + b"Lavf" + struct.pack("<I", len(entries))
    block += b"".join(struct.pack("<I", len(each)) + each for each in entries)
    info = b"\0" + (34).to_bytes(3) + bytes(34)
    return b"fLaC" + info + b"\x84" + len(block).to_bytes(3) + block + b"\xff\xf8sound"


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def large_box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 1) + kind + struct.pack(">Q", len(body) + 16) + body


def mp4(moov: bytes, *, before: bytes = b"") -> bytes:
    return box(b"ftyp", b"isom\0\0\2\0isom") + before + moov + box(b"mdat", b"film")


def keyed(*, quicktime: bool = False, **texts: str) -> bytes:
    """`moov/udta/meta` with names of their own (ffmpeg, -movflags use_metadata_tags)."""
    hdlr = box(b"hdlr", bytes(8) + b"mdta" + bytes(12))
    names = b"".join(box(b"mdta", name.encode()) for name in texts)
    keys = box(b"keys", bytes(4) + struct.pack(">I", len(texts)) + names)
    items = b"".join(box(struct.pack(">I", number), _data(value)) for number, value in enumerate(texts.values(), 1))
    meta = box(b"meta", (b"" if quicktime else bytes(4)) + hdlr + keys + box(b"ilst", items))
    return box(b"moov", box(b"mvhd", bytes(100)) + (meta if quicktime else box(b"udta", meta)))


def commented(value: str) -> bytes:
    """`moov/udta/meta` with a comment, as players show it (VideoHelperSuite by way of ffmpeg)."""
    hdlr = box(b"hdlr", bytes(8) + b"mdir" + bytes(12))
    meta = box(b"meta", bytes(4) + hdlr + box(b"ilst", box(b"\xa9cmt", _data(value))))
    return box(b"moov", box(b"udta", meta))


def _data(value: str) -> bytes:
    return box(b"data", struct.pack(">II", 1, 0) + value.encode())


def element(kind: int, body: bytes) -> bytes:
    """An element of Matroska; its length takes four bytes."""
    return kind.to_bytes((kind.bit_length() + 7) // 8) + _size(len(body)) + body


def _size(size: int) -> bytes:
    return (1 << 28 | size).to_bytes(4)


def webm(**texts: str) -> bytes:
    simple = b"".join(
        element(0x67C8, element(0x45A3, name.upper().encode()) + element(0x4487, value.encode()))
        for name, value in texts.items()
    )
    tags = element(0x1254C367, element(0x7373, element(0x63C0, b"") + simple))
    cluster = element(0x1F43B675, b"film" * 10)
    head = element(0x1A45DFA3, element(0x4282, b"webm"))
    return head + element(0x18538067, element(0x1549A966, b"") + cluster + tags)


def opus(*, page: int = 255, **comments: str) -> bytes:
    """A stream of Ogg with as many segments a page as a page can have: long comments take several."""
    entries = [f"{name}={value}".encode() for name, value in comments.items()]
    block = b"OpusTags" + struct.pack("<I", 4) + b"Lavf" + struct.pack("<I", len(entries))
    block += b"".join(struct.pack("<I", len(each)) + each for each in entries)
    lengths = [255] * (len(block) // 255) + [len(block) % 255]
    pages, at = [_page(b"OpusHead" + bytes(11), [19])], 0
    for start in range(0, len(lengths), page):
        some = lengths[start : start + page]
        pages.append(_page(block[at : at + sum(some)], some))
        at += sum(some)
    return b"".join((*pages, _page(b"sound", [5])))


def _page(body: bytes, lengths: list[int], serial: int = 7) -> bytes:
    return b"OggS\0\0" + bytes(8) + struct.pack("<III", serial, 0, 0) + bytes([len(lengths), *lengths]) + body


def mp3(*, version: int = 4, encoding: int = 3, before: bytes = b"", **texts: str) -> bytes:
    """A sound with an ID3 tag, as ffmpeg writes it."""
    codec = {0: "latin-1", 1: "utf-16", 3: "utf-8"}[encoding]
    zero = "\0".encode("utf-16-le" if encoding == 1 else "latin-1")
    bodies = [bytes([encoding]) + name.encode(codec) + zero + value.encode(codec) for name, value in texts.items()]
    frames = before + b"".join(id3_frame(b"TXXX", body, version=version) for body in bodies) + bytes(10)
    return b"ID3" + bytes([version, 0, 0]) + synchsafe(len(frames)) + frames + b"\xff\xfbsound"


def id3_frame(kind: bytes, body: bytes, *, version: int = 4) -> bytes:
    return kind + (synchsafe(len(body)) if version == 4 else struct.pack(">I", len(body))) + b"\0\0" + body


def synchsafe(size: int) -> bytes:
    return bytes(size >> 7 * place & 0x7F for place in (3, 2, 1, 0))


def glb(**extras: object) -> bytes:
    """A mesh of nothing, with what `asset.extras` says."""
    content = json.dumps({"asset": {"version": "2.0", "extras": extras}}).encode()
    content += b" " * (-len(content) % 4)
    chunks = struct.pack("<I", len(content)) + b"JSON" + content + struct.pack("<I", 4) + b"BIN\0mesh"
    return b"glTF" + struct.pack("<II", 2, len(chunks) + 12) + chunks
