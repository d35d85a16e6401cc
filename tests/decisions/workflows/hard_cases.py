"""Workflows that parsers get wrong, one a class of failure, with what they refer to.

`active` is the exact set of `folder/name` that takes part when the workflow runs; `idle` what is reported as not taking part.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from tests.decisions.workflows.drawing import link, node, prompt, subgraph, ui


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    name: str
    document: Any
    active: set[str]
    idle: set[str] = field(default_factory=set)


_LOADER: Final = node(1, "CheckpointLoaderSimple", "a.safetensors")
_ONE: Final = prompt(n1=("CheckpointLoaderSimple", {"ckpt_name": "a.safetensors"}))
_UUID: Final = "0b5ef46f-7a1e-4c55-8a7b-0d2c8b7d5f11"
_INNER: Final = subgraph(
    "sub",
    node(5, "UNETLoader", "inner.safetensors", "default", links={"unet_name": 1}),
    node(6, "VAELoader", "vae.safetensors"),
    inputs=("unet_name",), links=[link(1, -10, 0, 5)],
)  # fmt: skip

CASES: Final = (
    Case(name="api prompt", document=_ONE, active={"checkpoints/a.safetensors"}),
    Case(name="prompt in an envelope", document={"prompt": _ONE, "client_id": "x"}, active={"checkpoints/a.safetensors"}),
    Case(
        name="rows of an input with dots",
        document=prompt(n1=("LoadLoraModel", {"loras.0.lora_name": "x.safetensors", "loras.0.strength": 1, "loras.1.lora_name": "y.safetensors"})),
        active={"loras/x.safetensors", "loras/y.safetensors"},
    ),
    Case(
        name="a history answer with the drawing beside the prompt",
        document={
            _UUID: {
                "prompt": [3, _UUID, _ONE, {"extra_pnginfo": {"workflow": ui(_LOADER)}}, ["9"]],
                "outputs": {}, "status": {"completed": True},
            }
        },
        active={"checkpoints/a.safetensors"},
    ),
    Case(
        name="a job that holds the prompt as text",
        document={"id": "j", "payload": '{"prompt": {"1": {"class_type": "UNETLoader", "inputs": {"unet_name": "u.gguf"}}}}'},
        active={"diffusion_models/u.gguf"},
    ),
    Case(
        name="inside a subgraph",
        document=ui(node(1, "sub"), subgraphs=[subgraph("sub", node(5, "VAELoader", "v.safetensors"))]),
        active={"vae/v.safetensors"},
    ),
    Case(
        name="a subgraph in a subgraph",
        document=ui(
            node(1, "outer"),
            subgraphs=[subgraph("outer", node(2, "inner")), subgraph("inner", node(3, "LoraLoaderModelOnly", "l.safetensors", 1))],
        ),
        active={"loras/l.safetensors"},
    ),
    Case(
        name="a promoted value overrides the definition",
        document=ui(node(1, "sub", "mine.safetensors"), subgraphs=[_INNER]),
        active={"diffusion_models/mine.safetensors", "vae/vae.safetensors"},
    ),
    Case(
        name="two instances with values of their own",
        document=ui(node(1, "sub", "one.safetensors"), node(2, "sub", "two.safetensors"), subgraphs=[_INNER]),
        active={"diffusion_models/one.safetensors", "diffusion_models/two.safetensors", "vae/vae.safetensors"},
    ),
    Case(
        name="promoted as earlier frontends did",
        document=ui(
            node(1, "sub", "v2.safetensors", "mine.safetensors", properties={"proxyWidgets": [["6", "vae_name"], ["-1", "unet_name"]]}),
            subgraphs=[_INNER],
        ),
        active={"diffusion_models/mine.safetensors", "vae/v2.safetensors"},
    ),
    Case(
        name="promoted through two levels",
        document=ui(
            node(1, "outer", "deep.safetensors"),
            subgraphs=[
                subgraph("outer", node(2, "sub", "stale.safetensors", links={"unet_name": 7}), inputs=("which",), links=[link(7, -10, 0, 2)]),
                _INNER,
            ],
        ),
        active={"diffusion_models/deep.safetensors", "vae/vae.safetensors"},
    ),
    Case(
        name="bypassed and muted nodes",
        document=ui(
            node(1, "LoraLoaderModelOnly", "off.safetensors", 1, mode=4), node(2, "VAELoader", "mute.safetensors", mode=2), _LOADER | {"id": 3}
        ),
        active={"checkpoints/a.safetensors"}, idle={"loras/off.safetensors", "vae/mute.safetensors"},
    ),
    Case(
        name="a muted instance and a definition without one",
        document=ui(node(1, "sub", mode=2), _LOADER | {"id": 2}, subgraphs=[_INNER, subgraph("unused", node(8, "VAELoader", "never.safetensors"))]),
        active={"checkpoints/a.safetensors"}, idle={"diffusion_models/inner.safetensors", "vae/vae.safetensors"},
    ),
    Case(
        name="gguf loaders",
        document=ui(node(1, "UnetLoaderGGUF", "flux-Q4_K_S.gguf"), node(2, "DualCLIPLoaderGGUF", "t5-Q8.gguf", "clip_l.safetensors", "flux")),
        active={"diffusion_models/flux-Q4_K_S.gguf", "text_encoders/t5-Q8.gguf", "text_encoders/clip_l.safetensors"},
    ),
    Case(
        name="custom loaders",
        document=ui(
            node(1, "IPAdapterModelLoader", "ip-adapter_sd15.bin"), node(2, "SAMLoader", "sam_vit_b.pth", "AUTO"),
            node(3, "UltralyticsDetectorProvider", "bbox/face_yolov8m.pt"),
            node(4, "WanVideoModelLoader", "wan\\w.safetensors", "bf16", "disabled", "offload_device", "sdpa"),
            node(5, "NunchakuFluxDiTLoader", "svdq-int4-flux.1-dev", 0, "nunchaku-fp16", "auto", 0, "bfloat16", "enabled"),
        ),
        active={
            "ipadapter/ip-adapter_sd15.bin", "sams/sam_vit_b.pth", "ultralytics/bbox/face_yolov8m.pt", "diffusion_models/wan/w.safetensors",
            "diffusion_models/svdq-int4-flux.1-dev",
        },
    ),
    Case(
        name="one shard of several",
        document=ui(node(1, "SomeLLMThing", "llm/model-00001-of-00003.safetensors")),
        active={f"text_encoders/llm/model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)},
    ),
    Case(
        name="rows of a Power Lora Loader",
        document=ui(
            node(
                1, "Power Lora Loader (rgthree)", {}, {"type": "PowerLoraLoaderHeaderWidget"},
                {"on": True, "lora": "sdxl\\a.safetensors", "strength": 1, "strengthTwo": None},
                {"on": False, "lora": "b.safetensors", "strength": 1}, {"on": True, "lora": "None", "strength": 1}, {}, "",
            )
        ),
        active={"loras/sdxl/a.safetensors"}, idle={"loras/b.safetensors"},
    ),
    Case(
        name="widgets as a dict",
        document=ui(node(1, "VHS_Something", saved={"vae_name": "v.pt", "frame_rate": 8}), node(2, "CheckpointLoaderSimple", saved={"ckpt_name": "a.ckpt"})),
        active={"vae/v.pt", "checkpoints/a.ckpt"},
    ),
    Case(
        name="properties and inputs that are null, and a node that is none",
        document=ui(_LOADER | {"properties": None, "inputs": None}, {"id": 4, "type": 7}, nodes=None) | {"nodes": [_LOADER | {"properties": None, "inputs": None}, {"id": 4, "type": 7}, None]},
        active={"checkpoints/a.safetensors"},
    ),
    Case(
        name="embeddings in a prompt",
        document=ui(node(1, "CLIPTextEncode", "a (embedding:bad-hands:1.2), embedding:sub\\easy.pt, [embedding:neg]")),
        active={"embeddings/bad-hands", "embeddings/sub/easy.pt", "embeddings/neg"},
    ),
    Case(
        name="lora tags in a prompt",
        document=ui(node(1, "ImpactWildcardEncode", "photo <lora:style/x:0.8> and <lora:y.safetensors:1:0.5>", "")),
        active={"loras/style/x", "loras/y.safetensors"},
    ),
    Case(
        name="taesd is two files, pixel_space none",
        document=ui(node(1, "VAELoader", "taesdxl"), node(2, "VAELoader", "pixel_space"), node(3, "VAELoader", "taehv.safetensors")),
        active={"vae_approx/taesdxl_encoder", "vae_approx/taesdxl_decoder", "vae_approx/taehv.safetensors"},
    ),
    Case(
        name="a list of models that names what is not selected",
        document=ui(_LOADER | {"properties": {"models": [{"name": "old.safetensors", "url": "https://x.test/old", "directory": "checkpoints"}]}}),
        active={"checkpoints/a.safetensors"}, idle={"checkpoints/old.safetensors"},
    ),
    Case(
        name="groups with keys of their own and lists that are dicts",
        document=ui(groups=[{"locked": True}, 3], extra=None) | {"nodes": {"1": {"type": "VAELoader", "widgets_values": ["v.sft"], "id": 1}}},
        active={"vae/v.sft"},
    ),
    Case(
        name="links that are objects",
        document=ui(
            node(1, "PrimitiveNode", "real.safetensors", "fixed"), node(2, "VAELoader", "stale.safetensors", links={"vae_name": 3}),
            links=[link(3, 1, 0, 2)], version=1,
        ),
        active={"vae/real.safetensors"},
    ),
    Case(
        name="one of two widgets linked",
        document=ui(
            node(1, "PrimitiveNode", "l.safetensors"),
            node(2, "DualCLIPLoader", "stale.safetensors", "t5.safetensors", "flux", "default", links={"clip_name1": 3}),
            links=[[3, 1, 0, 2, 0, "COMBO"]],
        ),
        active={"text_encoders/l.safetensors", "text_encoders/t5.safetensors"},
    ),
    Case(
        name="a link from a node that makes text",
        document=prompt(
            n1=("CheckpointLoaderSimple", {"ckpt_name": ["2", 0]}), n2=("StringSwitch", {"text": ["3", 0]}), n3=("PrimitiveString", {"value": "x.safetensors"})
        ),
        active={"checkpoints/x.safetensors"},
    ),
    Case(
        name="a note that ends like a model",
        document=ui(node(1, "Note", "put it in models/loras/x.safetensors"), node(2, "MarkdownNote", "flux.safetensors"), _LOADER | {"id": 3}),
        active={"checkpoints/a.safetensors"},
    ),
    Case(
        name="an ending in capitals on an unknown node",
        document=ui(node(1, "MyThing", 3, "Weird.SAFETENSORS")),
        active={"/Weird.SAFETENSORS"},
    ),
    Case(
        name="a diffusers directory",
        document=ui(node(1, "DiffusersLoader", "stable-diffusion-v1-5")),
        active={"diffusers/stable-diffusion-v1-5"},
    ),
    Case(
        name="nodes that fetch",
        document=ui(
            node(1, "EmProps_Asset_Downloader", "https://huggingface.co/a/b/resolve/main/f.safetensors", "unet", "flux.safetensors", "None", "", False, ""),
            node(2, "SomeURLDownloader", "https://civitai.com/api/download/models/12", "loras", "style.safetensors"),
        ),
        active={"diffusion_models/flux.safetensors", "loras/style.safetensors"},
    ),
    Case(
        name="folders by their old names",
        document=ui(node(1, "Unheard", "x.safetensors", properties={"models": [{"name": "x.safetensors", "directory": "clip", "url": ""}]})),
        active={"text_encoders/x.safetensors"},
    ),
    Case(
        name="values behind a seed, and a count of rows",
        document=ui(
            node(1, "LoRA Stacker", "simple", 1, "one.safetensors", 1, 1, 1, "two.safetensors", 1, 1, 1),
            node(2, "KSamplerWithUpscaler", 7, "randomize", 20, "4x.pth", inputs=[{"name": n, "widget": {"name": n}, "link": None} for n in ("seed", "steps", "upscale_model_name")]),
        ),
        active={"loras/one.safetensors", "upscale_models/4x.pth"}, idle={"loras/two.safetensors"},
    ),
    Case(
        name="a workflow of the app mode",
        document=ui(_LOADER, extra={"linearMode": True, "linearData": {"inputs": [[1, "ckpt_name"]], "outputs": []}}),
        active={"checkpoints/a.safetensors"},
    ),
    Case(
        name="a subgraph that contains itself",
        document=ui(node(1, "sub"), subgraphs=[subgraph("sub", node(2, "sub"), node(3, "VAELoader", "v.pt"))]),
        active={"vae/v.pt"},
    ),
    Case(
        name="a list of jobs",
        document=[{"prompt": _ONE}, {"input": {"workflow": prompt(n7=("UpscaleModelLoader", {"model_name": "4x.pth"}))}}],
        active={"checkpoints/a.safetensors", "upscale_models/4x.pth"},
    ),
)  # fmt: skip
