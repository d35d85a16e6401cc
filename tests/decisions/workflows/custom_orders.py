"""Loaders of custom packs as the sources of their nodes say that the editor saves them: all versions, rows, wrapped ones."""

from __future__ import annotations

from typing import Final

from tests.decisions.workflows.custom_cases import PUBLISHED
from tests.decisions.workflows.drawing import link, marked, node, subgraph, ui
from tests.decisions.workflows.hard_cases import Case

SOURCED: Final = (
    Case(
        name="five LoRAs of the wrapper of Wan, with markers",
        document=ui(marked(
            1, "WanVideoLoraSelectMulti", "ComfyUI-WanVideoWrapper", ("lora_0", "a.safetensors"), ("strength_0", 1), ("lora_1", "none"), ("strength_1", 1),
            ("lora_2", "WanVideo\\b.safetensors"), ("strength_2", 0.5), ("lora_3", "none"), ("strength_3", 1), ("lora_4", "none"), ("strength_4", 1),
            ("low_mem_load", False), ("merge_loras", False),
        )),
        active={"loras/a.safetensors", "loras/WanVideo/b.safetensors"},
    ),
    Case(
        name="Nunchaku, with files and with a directory",
        document=ui(
            node(1, "NunchakuFluxDiTLoader", "svdq-int4_r32-flux.1-dev.safetensors", 0, "nunchaku-fp16", "auto", 0, "bfloat16", "enabled"),
            node(2, "NunchakuFluxDiTLoader", "svdq-int4-flux.1-fill-dev", 0.12, "nunchaku-fp16", "auto", 0, "bfloat16", "enabled"),
            node(3, "NunchakuTextEncoderLoaderV2", "flux.1", "t5xxl_fp16.safetensors", "clip_l.safetensors", 512),
            node(4, "NunchakuFluxLoraLoader", "FLUX.1-Turbo-Alpha.safetensors", 1),
            node(5, "NunchakuPuLIDLoaderV2", "pulid_flux_v0.9.1.safetensors", "EVA02_CLIP_L_336_psz14_s6B.pt", "gpu"),
            node(6, "NunchakuTextEncoderLoader", "flux", "t5xxl_fp8.safetensors", "clip_l.safetensors", 512, "disable", "none"),
            marked(7, "NunchakuZImageDiTLoader", "ComfyUI-nunchaku", ("model_name", "svdq-int4_r128-z-image-turbo.safetensors")),
        ),
        active={
            "diffusion_models/svdq-int4_r32-flux.1-dev.safetensors", "diffusion_models/svdq-int4-flux.1-fill-dev", "text_encoders/t5xxl_fp16.safetensors",
            "text_encoders/clip_l.safetensors", "loras/FLUX.1-Turbo-Alpha.safetensors", "pulid/pulid_flux_v0.9.1.safetensors",
            "text_encoders/EVA02_CLIP_L_336_psz14_s6B.pt", "text_encoders/t5xxl_fp8.safetensors", "diffusion_models/svdq-int4_r128-z-image-turbo.safetensors",
        },
    ),
    Case(
        name="the loaders of Efficiency, as they are and as they were",
        document=ui(
            node(1, "Efficient Loader", "sd_xl_base_1.0.safetensors", "sdxl_vae.safetensors", -1, "offset.safetensors", 1, 1, "CLIP_POSITIVE", "CLIP_NEGATIVE",
                 "none", "comfy", 512, 512, 1),
            node(2, "Eff. Loader SDXL", "base.safetensors", -2, "refiner.safetensors", -2, 6, 2, "Baked VAE", "CLIP_POSITIVE", "CLIP_NEGATIVE", "none", "comfy", 1024, 1024, 1),
            node(3, "LoRA Stacker", "simple", 1, "one.safetensors", 1, 1, 1, "two.safetensors", 1, 1, 1),
            node(4, "LoRA Stacker", "old.safetensors", 1, "older.safetensors", 0.5, "None", 1),
        ),
        active={
            "checkpoints/sd_xl_base_1.0.safetensors", "vae/sdxl_vae.safetensors", "loras/offset.safetensors", "checkpoints/base.safetensors",
            "checkpoints/refiner.safetensors", "loras/one.safetensors", "loras/old.safetensors", "loras/older.safetensors",
        },
        idle={"loras/two.safetensors"},
    ),
    Case(
        name="checkpoints and LoRAs that are compared",
        document=ui(
            node(1, "XY Input: Checkpoint", "Base", "Ckpt Names", "C:\\models", False, "ascending", -1, 2, "a.safetensors", -1, "Baked VAE",
                 "b.safetensors", -1, "c.pt", "d.safetensors", -1, "Baked VAE"),
            node(2, "XY Input: LoRA", "LoRA Names", "C:\\models", False, "ascending", -1, 1, 1, 1, "e.safetensors", 1, 1, "f.safetensors", 1, 1),
        ),
        active={"checkpoints/a.safetensors", "checkpoints/b.safetensors", "vae/c.pt", "loras/e.safetensors"},
        idle={"checkpoints/d.safetensors", "loras/f.safetensors"},
    ),
    Case(
        name="stacks of Comfyroll",
        document=ui(
            node(1, "CR LoRA Stack", "On", "a.safetensors", 1, 1, "Off", "b.safetensors", 1, 1, "On", "None", 1, 1),
            node(2, "CR Multi-ControlNet Stack", "Off", "None", 1, 0, 1, "On", "depth.safetensors", 1, 0, 1, "Off", "canny.safetensors", 1, 0, 1),
            node(3, "CR Load LoRA", "Off", "c.safetensors", 1, 1), node(4, "CR Upscale Image", "4x-UltraSharp.pth", "rescale", 2, 1024, "lanczos", "true", 8),
        ),
        active={"loras/a.safetensors", "controlnet/depth.safetensors", "upscale_models/4x-UltraSharp.pth"},
        idle={"loras/b.safetensors", "controlnet/canny.safetensors", "loras/c.safetensors"},
    ),
    Case(
        name="upscalers and sounds",
        document=ui(
            node(1, "SUPIR_model_loader_v2", "SUPIR-v0Q_fp16.safetensors", False, "auto"), node(2, "SUPIR_model_loader_v2_clip", "SUPIR-v0F.ckpt", False, "auto", False),
            node(3, "MMAudioModelLoader", "mmaudio_large_44k_v2_fp16.safetensors", "fp16"),
            node(4, "MMAudioFeatureUtilsLoader", "mmaudio_vae_44k_fp16.safetensors", "mmaudio_synchformer_fp16.safetensors", "apple_DFN5B-CLIP-ViT-H-14-384_fp16.safetensors", "44k", "fp16"),
            node(5, "SeedVR2LoadDiTModel", "seedvr2_ema_3b_fp8_e4m3fn.safetensors", "cuda:0"), node(6, "RIFE VFI", "rife47.pth", 10, 2, True, True, 1),
            node(7, "MelBandRoFormerModelLoader", "MelBandRoformer_fp16.safetensors"),
        ),
        active={
            "checkpoints/SUPIR-v0Q_fp16.safetensors", "checkpoints/SUPIR-v0F.ckpt", "mmaudio/mmaudio_large_44k_v2_fp16.safetensors", "mmaudio/mmaudio_vae_44k_fp16.safetensors",
            "mmaudio/mmaudio_synchformer_fp16.safetensors", "mmaudio/apple_DFN5B-CLIP-ViT-H-14-384_fp16.safetensors",
            "SEEDVR2/seedvr2_ema_3b_fp8_e4m3fn.safetensors", "rife/rife47.pth", "diffusion_models/MelBandRoformer_fp16.safetensors",
        },
    ),
    Case(
        name="wrappers of HunyuanVideo, FramePack and Hunyuan3D; what fetches itself",
        document=ui(
            node(1, "HyVideoModelLoader", "hunyuan_video_720_fp8.safetensors", "bf16", "fp8_e4m3fn", "offload_device", "sdpa"),
            node(2, "HyVideoVAELoader", "hunyuan_video_vae_bf16.safetensors", "bf16"), node(3, "HyVideoLoraSelect", "hyvideo.safetensors", 1),
            node(4, "DownloadAndLoadHyVideoTextEncoder", "Kijai/llava-llama-3-8b-text-encoder-tokenizer", "openai/clip-vit-large-patch14", "fp16", False, 2, "disabled"),
            node(5, "LoadFramePackModel", "FramePackI2V_HY_fp8_e4m3fn.safetensors", "bf16", "fp8_e4m3fn", "offload_device", "sdpa"),
            node(6, "Hy3DModelLoader", "hunyuan3d-dit-v2-0-fp16.safetensors"), node(7, "DownloadAndLoadFlorence2Model", "microsoft/Florence-2-base", "fp16", "sdpa"),
            node(8, "Florence2ModelLoader", "Florence-2-large", "fp16", "sdpa"), node(9, "DownloadAndLoadSAM2Model", "sam2.1_hiera_base_plus.safetensors", "video", "cuda", "fp16"),
        ),
        active={
            "diffusion_models/hunyuan_video_720_fp8.safetensors", "vae/hunyuan_video_vae_bf16.safetensors", "loras/hyvideo.safetensors",
            "diffusion_models/FramePackI2V_HY_fp8_e4m3fn.safetensors", "diffusion_models/hunyuan3d-dit-v2-0-fp16.safetensors", "LLM/Florence-2-large",
            "sam2/sam2.1_hiera_base_plus.safetensors",
        },
    ),
    Case(
        name="nodes that wrap others, for several cards or less memory",
        document=ui(
            node(1, "UNETLoaderDisTorch2MultiGPU", "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors", "default", "cuda:0", 12, "cpu", ""),
            node(2, "CLIPLoaderGGUFMultiGPU", "umt5-xxl-encoder-Q8_0.gguf", "wan", "cuda:1"), node(3, "VAELoaderMultiGPU", "wan_2.1_vae.safetensors", "cuda:0"),
            node(4, "UnetLoaderGGUFDisTorchMultiGPU", "qwen-image-Q4_K_M.gguf", "cuda:0", 8, False, ""), node(5, "UnetLoaderGGUFDynamicVRAM", "flux1-dev-Q5_K_S.gguf"),
            node(6, "LTXVGemmaCLIPModelLoaderMGPU", "gemma-3-12b-it\\model-00001-of-00002.safetensors", "ltx-2-19b-dev.safetensors", 1024),
            node(7, "WanVideoModelLoaderMultiGPU", "Wan2_1-T2V-14B.safetensors", "bf16", "disabled", "cuda:0"), node(8, "CheckpointLoaderSimpleMultiGPU", "a.safetensors", "cuda:0"),
            node(9, "LoraLoader|pysssss", {"content": "pack/b.safetensors", "image": "loras/pack/b.png", "title": "pack/b.safetensors"}, 1, 1),
        ),
        active={
            "diffusion_models/wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors", "text_encoders/umt5-xxl-encoder-Q8_0.gguf", "vae/wan_2.1_vae.safetensors",
            "diffusion_models/qwen-image-Q4_K_M.gguf", "diffusion_models/flux1-dev-Q5_K_S.gguf", "text_encoders/gemma-3-12b-it/model-00001-of-00002.safetensors",
            "text_encoders/gemma-3-12b-it/model-00002-of-00002.safetensors", "checkpoints/ltx-2-19b-dev.safetensors", "diffusion_models/Wan2_1-T2V-14B.safetensors",
            "checkpoints/a.safetensors", "loras/pack/b.safetensors",
        },
    ),
    Case(
        name="the loaders of KJNodes, new and old",
        document=ui(
            marked(1, "DiffusionModelLoaderKJ", "comfyui-kjnodes", ("model_name", "new.safetensors"), ("weight_dtype", "default"), ("compute_dtype", "default"),
                   ("patch_cublaslinear", False), ("sage_attention", "auto"), ("enable_fp16_accumulation", True)),
            node(2, "CheckpointLoaderKJ", "old.safetensors", False, "disabled"), node(3, "GGUFLoaderKJ", "wan-Q8_0.gguf", "vace-Q8_0.gguf", "default", "default", False, False, "none"),
            node(4, "DiffusionModelLoaderKJ", "before.safetensors", "default", True, False), node(5, "LoadResAdapterNormalization", "resadapter_v2.safetensors"),
        ),
        active={
            "diffusion_models/new.safetensors", "checkpoints/old.safetensors", "diffusion_models/wan-Q8_0.gguf", "diffusion_models/vace-Q8_0.gguf",
            "diffusion_models/before.safetensors", "checkpoints/resadapter_v2.safetensors",
        },
    ),
    Case(
        name="preprocessors that name what they fetch",
        document=ui(
            node(1, "DWPreprocessor", "enable", "enable", "enable", 512, "yolox_l.onnx", "dw-ll_ucoco_384_bs5.torchscript.pt", "disable"),
            node(2, "DepthAnythingV2Preprocessor", "depth_anything_v2_vitl.pth", 512), node(16, "AIO_Preprocessor", "LineArtPreprocessor", 512),
        ),
        active={"annotators/yolox_l.onnx", "annotators/dw-ll_ucoco_384_bs5.torchscript.pt", "annotators/depth_anything_v2_vitl.pth"},
    ),
    Case(
        name="another version has its widgets in another order",
        document=ui(
            marked(1, "UltralyticsDetectorProvider", "comfyui-impact-subpack", ("device", "AUTO"), ("model_name", "segm/person_yolov8m-seg.pt")),
            marked(2, "WanVideoVAELoader", "ComfyUI-WanVideoWrapper", ("precision", "bf16"), ("model_name", "wan_2.1_vae.safetensors")),
            node(3, "IPAdapterModelLoader", "auto", "ip-adapter-plus_sd15.safetensors"),
        ),
        active={"ultralytics/segm/person_yolov8m-seg.pt", "vae/wan_2.1_vae.safetensors", "ipadapter/ip-adapter-plus_sd15.safetensors"},
    ),
    Case(
        name="loaders of many folders, with their own words for none",
        document=ui(
            node(1, "FluxLoader", "flux1-dev.safetensors", "default", "t5xxl_fp16.safetensors", ".none", ".use_ckpt_vae", ".none", "redux.safetensors"),
            node(2, "ClownModelLoader", "wan2.1.safetensors", "default", "umt5.safetensors", ".none", ".none", ".none", "wan", "wan_vae.safetensors"),
            node(3, "DiTBlockLoraLoader", 1, "blocks.safetensors"), node(4, "LoadChatGLM3", "chatglm3-fp16.safetensors"),
            node(6, "SeargeModelSelector", "sd_xl_base_1.0.safetensors", "none", "from base model"),
            node(7, "SeargeLoras", "offset.safetensors", 0.2, "none", 0, "none", 0, "none", 0, "detail.safetensors", 1),
            node(8, "SeargeUpscaleModels", "1x-ITF.pth", "none", "4x_NMKD.pth", "none"), node(9, "Load Face Swap Model (mtb)", "inswapper_128.onnx"),
            node(5, "HighRes-Fix Script", "pixel", "(use same)", "bislerp", "4x-UltraSharp.pth", 1.5, True, 1, None, 12, 0.5, 1),
        ),
        active={
            "checkpoints/flux1-dev.safetensors", "text_encoders/t5xxl_fp16.safetensors", "style_models/redux.safetensors", "checkpoints/wan2.1.safetensors",
            "text_encoders/umt5.safetensors", "vae/wan_vae.safetensors", "loras/blocks.safetensors", "LLM/chatglm3-fp16.safetensors",
            "upscale_models/4x-UltraSharp.pth", "checkpoints/sd_xl_base_1.0.safetensors", "loras/offset.safetensors", "loras/detail.safetensors",
            "upscale_models/1x-ITF.pth", "upscale_models/4x_NMKD.pth", "insightface/inswapper_128.onnx",
        },
    ),
    Case(
        name="custom loaders in a subgraph, promoted, and bypassed ones",
        document=ui(
            node(1, "sub", "mine-Q8_0.gguf"), node(2, "NunchakuFluxLoraLoader", "off.safetensors", 1, mode=4),
            subgraphs=[subgraph("sub", node(5, "UnetLoaderGGUF", "inner-Q4.gguf", links={"unet_name": 1}), node(6, "WanVideoVAELoader", "v.safetensors", "bf16"),
                                inputs=("unet_name",), links=[link(1, -10, 0, 5)])],
        ),
        active={"diffusion_models/mine-Q8_0.gguf", "vae/v.safetensors"}, idle={"loras/off.safetensors"},
    ),
)  # fmt: skip

CUSTOM_CASES: Final = (*PUBLISHED, *SOURCED)
