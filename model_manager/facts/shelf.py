"""Where a model stands below a models directory: a folder of ComfyUI and a name within it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from model_manager.errors import BadPath

CATEGORY_OF: Final[dict[str, str]] = {
    "unet": "diffusion_models",
    "clip": "text_encoders",
    "t2i_adapter": "controlnet",
}
"""Folder on disk → ComfyUI category, where they differ (ComfyUI folder_paths.py: map_legacy and the default lists)."""

WEIGHTS: Final = frozenset(
    {".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".bin", ".pth", ".pkl", ".gguf", ".onnx", ".patch"}
)
"""Extensions that ComfyUI and its common loaders list (folder_paths.supported_pt_extensions, ComfyUI-GGUF, onnx, and the
`.patch` of comfyui-inpaint-nodes)."""

PICKLES: Final = frozenset({".ckpt", ".pt", ".pt2", ".bin", ".pth", ".pkl", ".patch"})
"""Those of WEIGHTS that are unpickled, which can run code of whoever made them. Loaders choose by the ending
(comfy.utils.load_torch_file), and a pickle with another ending is no well-formed file here."""

COMPANIONS: Final = frozenset({".yaml", ".yml", ".json", ".txt", ".model"})
"""What a model may bring along: configs, tokenizers, index files of sharded models."""

_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
)
_ESCAPE = re.compile(r"%[0-9a-fA-F]{2}")
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff\u202a-\u202e\u2066-\u2069\u200e\u200f]")
"""Control characters, halves of surrogate pairs, and what turns the direction of writing."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ShelfPath:
    """`folder` is the first directory below models (`checkpoints`), `name` the rest with `/` (`SD15/x.safetensors`)."""

    folder: str
    name: str

    @classmethod
    def parse(cls, save_to: str | None, filename: str) -> ShelfPath:
        """The place that a catalog's saveTo means, in any of its three bases.

        `models/<dir>/<file>` below ComfyUI, `<dir>/<file>` below models, or a bare `<dir>` that `filename` completes.
        Raises BadPath for whatever could leave the shelves or is no portable file name. Nothing is repaired.
        """
        whole = filename if save_to is None or not save_to.strip() else save_to
        for text in (whole, filename):
            _insist(text)
        parts = whole.rstrip("/").split("/")
        if parts[0] == "models":
            parts = parts[1:]
        if whole != filename and not _is_file(parts[-1] if parts else ""):
            parts = [*parts, *filename.split("/")]
        if len(parts) < 2:
            raise BadPath(path=whole, why="it names no folder such as 'checkpoints'")
        path = cls(folder=parts[0], name="/".join(parts[1:]))
        for part in parts:
            _insist_part(part, whole)
        if not _is_file(parts[-1]):
            raise BadPath(path=whole, why=f"its ending is none of {', '.join(sorted(WEIGHTS))}")
        return path

    @property
    def category(self) -> str:
        """The list of ComfyUI in which a loader finds it (`unet/x` is listed under `diffusion_models`)."""
        return CATEGORY_OF.get(self.folder, self.folder)

    @property
    def slot(self) -> tuple[str, str]:
        """What two models cannot both have: paths with the same slot collide on some file system or in ComfyUI's list."""
        return self.category.casefold(), unicodedata.normalize("NFC", self.name).casefold()

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}"


def runs_code(name: str) -> bool:
    """Whether loading a file of this name can run code that is in it. That its bytes are the promised ones changes nothing."""
    return "." + name.rpartition(".")[2].lower() in PICKLES


def _is_file(part: str) -> bool:
    dot = part.rfind(".")
    ending = part[dot:].lower()
    return dot > 0 and (ending in WEIGHTS or ending in COMPANIONS)


def _insist(text: str) -> None:
    """Refuse what no honest path contains anywhere."""
    why = None
    if "\\" in text:
        why = "it contains a backslash"
    elif _ESCAPE.search(text):
        why = "it contains percent escapes"
    elif ":" in text:
        why = "it contains ':'"
    elif _CONTROL.search(text):
        why = "it contains control characters"
    elif text.startswith("/"):
        why = "it is absolute"
    elif len(text.encode("utf-8", "surrogatepass")) > 1024:
        why = "it is longer than 1024 bytes"
    elif unicodedata.normalize("NFC", text) != text:
        why = "it is not in Unicode's composed form (NFC)"
    if why:
        raise BadPath(path=text, why=why)


def _insist_part(part: str, whole: str) -> None:
    """Refuse one directory or file name that means something else on some system."""
    why = None
    if part in ("", ".", ".."):
        why = f"'{part}' is not a name"
    elif part.startswith("."):
        why = "a name begins with a dot"
    elif part != part.strip() or part.endswith("."):
        why = "a name begins or ends with a blank, or ends with a dot"
    elif part.split(".")[0].casefold() in _RESERVED:
        why = f"'{part}' is reserved on Windows"
    elif len(part.encode()) > 240:
        why = "a name is longer than 240 bytes"
    elif part.endswith(".part"):
        why = "'.part' is ours for unfinished files"
    if why:
        raise BadPath(path=whole, why=why)
