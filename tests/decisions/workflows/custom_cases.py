"""Nodes of custom packs as published workflows save them, reduced to what they load.

Of workflows that the authors of packs and users publish: the values of their loaders as they stand there, with the markers
of inputs and the packages where the editor saved them; some have a row or two more. Folders are those that the sources of
the nodes name.
"""

from __future__ import annotations

from typing import Final

from tests.decisions.workflows.drawing import marked, node, prompt, ui
from tests.decisions.workflows.hard_cases import Case

_STACK: Final = [False, "simple", 2, "a.safetensors", 1, 1, 1, "None", 1, 1, 1]

PUBLISHED: Final = (
    Case(
        name="a face by InstantID, a style by IPAdapter",
        document=prompt(
            n1=("CheckpointLoaderSimple", {"ckpt_name": "dreamshaperXL_lightningDPMSDE.safetensors"}),
            n3=("InstantIDModelLoader", {"instantid_file": "instantid-ip-adapter.bin"}), n4=("InstantIDFaceAnalysis", {"provider": "CUDA"}),
            n9=("IPAdapterUnifiedLoader", {"preset": "STANDARD (medium strength)", "model": ["1", 0]}),
            n14=("ControlNetLoader", {"control_net_name": "instantid-controlnet.safetensors"}),
            n48=("UpscaleModelLoader", {"model_name": "4x-UltraSharp.pth"}),
        ),
        active={
            "checkpoints/dreamshaperXL_lightningDPMSDE.safetensors", "instantid/instantid-ip-adapter.bin",
            "controlnet/instantid-controlnet.safetensors", "upscale_models/4x-UltraSharp.pth",
        },
    ),
    Case(
        name="a talking head, by names that inputs had before",
        document=prompt(
            n1=("WanVideoModelLoader", {"model": "wan2.1_i2v_480p_14B_fp16.safetensors", "base_precision": "bf16"}),
            n2=("MultiTalkModelLoader", {"model": "infinitetalk.safetensors", "base_precision": "bf16", "wav2vec_path": "wav2vec"}),
            n3=("LoadWanVideoT5TextEncoder", {"t5_model": "umt5_xxl_fp16.safetensors", "precision": "bf16"}),
            n4=("WanVideoVAELoader", {"vae_model": "wan_2.1_vae.safetensors"}), n5=("CLIPVisionLoader", {"clip_name": "clip_vision_h.safetensors"}),
        ),
        active={
            "diffusion_models/wan2.1_i2v_480p_14B_fp16.safetensors", "diffusion_models/infinitetalk.safetensors",
            "text_encoders/umt5_xxl_fp16.safetensors", "vae/wan_2.1_vae.safetensors", "clip_vision/clip_vision_h.safetensors",
        },
    ),
    Case(
        name="a ControlNet for many types",
        document=prompt(
            n1=("CheckpointLoaderSimple", {"ckpt_name": "RealVisXL_V4.0_Lightning.safetensors"}),
            n20=("ACN_ControlNet++LoaderAdvanced", {"name": "diffusion_pytorch_model_promax.safetensors", "plus_input": ["19", 0]}),
            n19=("ACN_ControlNet++InputNode", {"control_type": "inpaint/outpaint", "image": ["17", 0]}),
        ),
        active={"checkpoints/RealVisXL_V4.0_Lightning.safetensors", "controlnet/diffusion_pytorch_model_promax.safetensors"},
    ),
    Case(
        name="the inpainting of Fooocus, in a prompt",
        document=prompt(
            n4=("CheckpointLoaderSimple", {"ckpt_name": "realvisxlV40_v40LightningBakedvae.safetensors"}),
            n37=("INPAINT_LoadFooocusInpaint", {"head": "fooocus_inpaint_head.pth", "patch": "inpaint_v26.fooocus.patch"}),
            n47=("LoadImage", {"image": "clipspace/clipspace-mask-4768228.png [input]", "upload": "image"}),
        ),
        active={
            "checkpoints/realvisxlV40_v40LightningBakedvae.safetensors", "inpaint/fooocus_inpaint_head.pth",
            "inpaint/inpaint_v26.fooocus.patch",
        },
    ),
    Case(
        name="the inpainting of Fooocus, drawn",
        document=ui(
            node(19, "CheckpointLoaderSimple", "juggernautXL_version6Rundiffusion.safetensors"),
            node(35, "INPAINT_LoadFooocusInpaint", "fooocus_inpaint_head.pth", "inpaint_v26.fooocus.patch"), node(42, "Reroute"),
            node(38, "VAEEncodeForInpaint", 8), node(40, "KSampler", 923431948001835, "fixed", 24, 5, "dpmpp_2m_sde_gpu", "karras", 1),
        ),
        active={
            "checkpoints/juggernautXL_version6Rundiffusion.safetensors", "inpaint/fooocus_inpaint_head.pth", "inpaint/inpaint_v26.fooocus.patch",
        },
    ),
    Case(
        name="a face is swapped",
        document=prompt(
            n28=("ControlNetLoader", {"control_net_name": "thibaud_xl_openpose_256lora.safetensors"}),
            n186=("IPAdapterModelLoader", {"ipadapter_file": "ip-adapter_sdxl.safetensors"}),
            n187=("CLIPVisionLoader", {"clip_name": "clip_vision_g.safetensors"}),
            n188=("ReActorFaceSwap", {
                "enabled": True, "swap_model": "inswapper_128.onnx", "facedetection": "YOLOv5l", "face_restore_model": "codeformer.pth",
                "face_restore_visibility": 0.65, "detect_gender_source": "female", "console_log_level": 1, "input_image": ["184", 0],
            }),
            n193=("UpscaleModelLoader", {"model_name": "4x_NMKD-Superscale-SP_178000_G.pth"}),
            n199=("MeshGraphormer-DepthMapPreprocessor", {"mask_type": "original", "resolution": 896}),
            n215=("Image Save", {"output_path": "[time(%Y-%m-%d)]", "extension": "png"}),
        ),
        active={
            "controlnet/thibaud_xl_openpose_256lora.safetensors", "ipadapter/ip-adapter_sdxl.safetensors", "clip_vision/clip_vision_g.safetensors",
            "insightface/inswapper_128.onnx", "facerestore_models/codeformer.pth", "upscale_models/4x_NMKD-Superscale-SP_178000_G.pth",
        },
    ),
    Case(
        name="a face that is not swapped, and one that is restored",
        document=ui(
            node(1, "ReActorFaceSwap", False, "inswapper_128.onnx", "retinaface_resnet50", "GFPGANv1.4.pth", 1, 0.5, "no", "no", "0", "0", 1),
            node(2, "ReActorRestoreFace", "retinaface_resnet50", "GFPGANv1.3.pth", 1, 0.5),
            node(3, "ReActorFaceBoost", True, "GPEN-BFR-512.onnx", "Bicubic", 1, 0.5, True),
        ),
        active={"facerestore_models/GFPGANv1.3.pth", "facerestore_models/GPEN-BFR-512.onnx"},
        idle={"insightface/inswapper_128.onnx", "facerestore_models/GFPGANv1.4.pth"},
    ),
    Case(
        name="an avatar with sound; a row of the Power Lora Loader is off",
        document=prompt(
            n1559=("VAELoader", {"vae_name": "LTX23_video_vae_bf16_KJ.safetensors"}),
            n1562=("DualCLIPLoader", {
                "clip_name1": "gemma_3_12B_it_fp8_scaled.safetensors", "clip_name2": "ltx-2.3_text_projection_bf16.safetensors", "type": "ltxv", "device": "default",
            }),
            n1567=("VAELoaderKJ", {"vae_name": "LTX23_audio_vae_bf16_KJ.safetensors", "device": "main_device", "weight_dtype": "bf16"}),
            n1569=("VAELoader", {"vae_name": "vae_approx/taeltx2_3.safetensors"}),
            n1570=("UNETLoader", {"unet_name": "ltx-2.3-22b-distilled_transformer_only_fp8_scaled.safetensors", "weight_dtype": "default"}),
            n1561=("LatentUpscaleModelLoader", {"model_name": "ltx-2.3-spatial-upscaler-x2-1.1.safetensors"}),
            n1627=("Power Lora Loader (rgthree)", {
                "model": ["1570", 0], "PowerLoraLoaderHeaderWidget": {"type": "PowerLoraLoaderHeaderWidget"},
                "lora_1": {"on": False, "lora": "None", "strength": 1}, "lora_2": {"on": True, "lora": "ltx\\camera.safetensors", "strength": 0.8}, "➕ Add Lora": "",
            }),
        ),
        active={
            "vae/LTX23_video_vae_bf16_KJ.safetensors", "text_encoders/gemma_3_12B_it_fp8_scaled.safetensors",
            "text_encoders/ltx-2.3_text_projection_bf16.safetensors", "vae/LTX23_audio_vae_bf16_KJ.safetensors",
            "vae/vae_approx/taeltx2_3.safetensors", "diffusion_models/ltx-2.3-22b-distilled_transformer_only_fp8_scaled.safetensors",
            "latent_upscale_models/ltx-2.3-spatial-upscaler-x2-1.1.safetensors", "loras/ltx/camera.safetensors",
        },
    ),
    Case(
        name="clothes are swapped; SAM 3 fetches itself",
        document=prompt(
            n106=("CLIPLoader", {"clip_name": "qwen_3_4b.safetensors", "type": "flux2", "device": "default"}), n108=("VAELoader", {"vae_name": "flux2-vae.safetensors"}),
            n116=("UnetLoaderGGUF", {"unet_name": "flux-2-klein-4b-Q8_0.gguf"}),
            n123=("LoraLoaderModelOnly", {"lora_name": "aura-pvc-2-_00010e_074520s.safetensors", "strength_model": 1}),
            n128=("LoadSAM3Model", {"precision": "auto", "compile": False}),
            n130=("LayerMask: PersonMaskUltra V2", {"detail_method": "VITMatte", "process_detail": True, "device": "cpu"}),
        ),
        active={
            "text_encoders/qwen_3_4b.safetensors", "vae/flux2-vae.safetensors", "diffusion_models/flux-2-klein-4b-Q8_0.gguf",
            "loras/aura-pvc-2-_00010e_074520s.safetensors",
        },
    ),
    Case(
        name="a tag in a text that goes to ComfyUI's own encoder",
        document=prompt(
            n4=("CheckpointLoaderSimple", {"ckpt_name": "shiratakimixXL_v20.safetensors"}),
            n10=("LoraLoader", {"lora_name": "Chibi_Head_Icon_v2.safetensors", "strength_model": 0.8, "model": ["4", 0], "clip": ["4", 1]}),
            n6=("CLIPTextEncode", {"text": ["24", 0], "clip": ["10", 1]}),
            n24=("Text Concatenate", {"delimiter": ",", "text_a": ["41", 0], "text_b": ["37", 0]}),
            n41=("Text Multiline", {"text": "solo, chibi, (outline, white outline: 1.1), <lora:Chibi_Head_Icon:1> chibi"}),
            n21=("WD14Tagger|pysssss", {"model": "wd-v1-4-moat-tagger-v2", "threshold": 0.05, "image": ["45", 0]}),
            n12=("Image Rembg (Remove Background)", {"model": "u2net", "images": ["8", 0]}),
            n37=("CXH_Gemini2_TX", {"model": "gemini-2.0-flash-exp", "prompt": ["21", 0]}),
        ),
        active={"checkpoints/shiratakimixXL_v20.safetensors", "loras/Chibi_Head_Icon_v2.safetensors"}, idle={"loras/Chibi_Head_Icon"},
    ),
    Case(
        name="the same tag in a text that goes to a node that loads it",
        document=prompt(
            n4=("CheckpointLoaderSimple", {"ckpt_name": "a.safetensors"}),
            n6=("ImpactWildcardEncode", {"wildcard_text": ["24", 0], "model": ["4", 0], "clip": ["4", 1]}),
            n24=("Text Concatenate", {"delimiter": ",", "text_a": ["41", 0]}), n41=("Text Multiline", {"text": "chibi <lora:style/Chibi:1>"}),
        ),
        active={"checkpoints/a.safetensors", "loras/style/Chibi"},
    ),
    Case(
        name="GGUF for both models",
        document=prompt(
            n1=("UnetLoaderGGUF", {"unet_name": "qwen_image_2.1-Q4_K_M.gguf"}),
            n2=("CLIPLoaderGGUF", {"clip_name": "qwen3vl_8b-Q4_K_M.gguf", "type": "qwen_image", "device": "default"}),
            n3=("VAELoader", {"vae_name": "qwen_image_2.1_vae_bf16.safetensors"}), n4=("TextEncodeQwenImage21", {"clip": ["2", 0], "prompt": "a red fox"}),
        ),
        active={"diffusion_models/qwen_image_2.1-Q4_K_M.gguf", "text_encoders/qwen3vl_8b-Q4_K_M.gguf", "vae/qwen_image_2.1_vae_bf16.safetensors"},
    ),
    Case(
        name="ELLA and BrushNet; a text encoder that is a directory",
        document=ui(
            node(8, "SetEllaTimesteps", "normal", 20, 1), node(2, "ELLALoader", "ella-sd1.5-tsc-t5xl.safetensors"),
            node(1, "CheckpointLoaderSimple", "realisticVisionV60B1_v51VAE.safetensors"),
            node(3, "T5TextEncoderLoader #ELLA", "models--google--flan-t5-xl--text_encoder", 0, "auto"),
            node(16, "BrushNetLoader", "brushnet/random_mask.safetensors", "float16"),
            node(23, "SAMModelLoader (segment anything)", "sam_vit_h (2.56GB)"),
            node(26, "GroundingDinoModelLoader (segment anything)", "GroundingDINO_SwinT_OGC (694MB)"),
            node(27, "GroundingDinoSAMSegment (segment anything)", "goblin toy", 0.3),
        ),
        active={
            "ella/ella-sd1.5-tsc-t5xl.safetensors", "checkpoints/realisticVisionV60B1_v51VAE.safetensors",
            "ella_encoder/models--google--flan-t5-xl--text_encoder", "inpaint/brushnet/random_mask.safetensors",
        },
    ),
    Case(
        name="PowerPaint, before it had a type of weights",
        document=ui(
            node(45, "BrushNetLoader", "powerpaint/diffusion_pytorch_model.safetensors"),
            node(47, "CheckpointLoaderSimple", "realisticVisionV60B1_v51VAE.safetensors"),
            node(66, "PowerPaintCLIPLoader", "model.fp16.safetensors", "powerpaint/pytorch_model.bin"),
            node(65, "PowerPaint", 1, "image outpainting", 1, 0, 10000),
        ),
        active={
            "inpaint/powerpaint/diffusion_pytorch_model.safetensors", "checkpoints/realisticVisionV60B1_v51VAE.safetensors",
            "text_encoders/model.fp16.safetensors", "inpaint/powerpaint/pytorch_model.bin",
        },
    ),
    Case(
        name="a cascade by Easy-Use",
        document=ui(
            node(59, "easy cascadeLoader", "Cascade\\stable_cascade_stage_c.safetensors", "Cascade\\stable_cascade_stage_b.safetensors",
                 "Baked VAE", "None", "None", 1, 1, "1024 x 1024", 1080, 832, 42, "a girl raises a sign", "worst quality", 1),
            node(57, "easy fullCascadeKSampler", "None", "None", 15, 4.5, "euler_ancestral", "simple", 1, "Preview", 0, "ComfyUI", 19064447608006, "fixed"),
        ),
        active={"checkpoints/Cascade/stable_cascade_stage_c.safetensors", "checkpoints/Cascade/stable_cascade_stage_b.safetensors"},
    ),
    Case(
        name="stacks of Easy-Use: off, counted and selected",
        document=ui(
            node(15, "easy loraStack", *_STACK), node(16, "easy loraStack", True, "advanced", 1, "b.safetensors", 1, 1, 1, "c.safetensors", 1, 1, 1),
            node(17, "easy loraSwitcher", True, 2, 3, 0.65, "d.safetensors", "e.safetensors", "None", "None"),
            node(18, "easy controlnetStack", True, "simple", 2, "tile.safetensors", 1, 0, 1, 1, "depth.safetensors", 1, 0, 1, 1, "None", 1, 0, 1, 1),
        ),
        active={"loras/b.safetensors", "loras/e.safetensors", "controlnet/tile.safetensors", "controlnet/depth.safetensors"},
        idle={"loras/a.safetensors", "loras/c.safetensors", "loras/d.safetensors"},
    ),
    Case(
        name="the full loader of Easy-Use, and those of Kolors and PixArt",
        document=ui(
            node(1, "easy fullLoader", "sdxl\\base.safetensors", "Default", "sdxl_vae.safetensors", -2, "style.safetensors", 1, 1,
                 "1024 x 1024", 1024, 1024, "a cat", "none", "comfy", "blurry", "none", "comfy", 1, False),
            node(2, "easy a1111Loader", "sd15.safetensors", "Baked VAE", -2, "None", 1, 1, "512 x 512", 512, 512, "a dog", "blurry", 1, False),
            node(3, "easy kolorsLoader", "kolors.safetensors", "sdxl.vae.safetensors", "chatglm3-8bit.safetensors", "None", 1, 1,
                 "1024 x 576", 1024, 1024, "", "", 1, False),
            node(4, "easy pixArtLoader", "PixArt-Sigma-XL-2-1024-MS.pth", "PixArtMS_Sigma_XL_2", "pixart.vae.safetensors", "sd3",
                 "t5xxl_fp8_e4m3fn.safetensors", 1, "t5-v1_1-xxl-00001.bin", "cpu", "default", "None", 1, "1.00", 1024, 1024, "", "", 1),
            node(5, "easy hunyuanDiTLoader", "hunyuan_dit_1.2.safetensors", "Baked VAE", "hydit.safetensors", 1, 1, "1024 x 1024", 1024, 1024, "", "", 1),
        ),
        active={
            "checkpoints/sdxl/base.safetensors", "vae/sdxl_vae.safetensors", "loras/style.safetensors", "checkpoints/sd15.safetensors",
            "diffusion_models/kolors.safetensors", "vae/sdxl.vae.safetensors", "LLM/chatglm3-8bit.safetensors",
            "checkpoints/PixArt-Sigma-XL-2-1024-MS.pth", "vae/pixart.vae.safetensors", "text_encoders/t5xxl_fp8_e4m3fn.safetensors",
            "t5/t5-v1_1-xxl-00001.bin", "checkpoints/hunyuan_dit_1.2.safetensors", "loras/hydit.safetensors",
        },
    ),
    Case(
        name="LoRAs of the LoRA Manager, whose text repeats them",
        document=ui(
            marked(4, "CheckpointLoaderSimple", "comfy-core", ("ckpt_name", "Illustrious/anime/hassakuXLIllustrious_v13StyleA.safetensors")),
            node(
                56, "Lora Loader (LoraManager)", "<lora:illustrious_all_rated_v1:0.60> <lora:748cm_illu:0.60> <lora:off_today:1>",
                [{"name": "illustrious_all_rated_v1", "strength": 0.6, "active": True, "expanded": False, "clipStrength": 0.6, "locked": False},
                 {"name": "748cm_illu", "strength": 0.6, "active": True}, {"name": "off_today", "strength": 1, "active": False}],
                inputs=[{"name": "model", "type": "MODEL", "link": 117}, {"name": "text", "type": "AUTOCOMPLETE_TEXT_LORAS", "widget": {"name": "text"}, "link": None}],
                properties={"cnr_id": "comfyui-lora-manager", "ver": "ad56caf"},
            ),
            node(55, "TriggerWord Toggle (LoraManager)", True, [{"text": "DS-Illu", "active": True}], False, [], "masterpiece,, style"),
            marked(66, "Prompt (LoraManager)", "comfyui-lora-manager", ("text", "embedding:lazyneg, lowres,bad anatomy,(worst quality:1.8)")),
            node(60, "Save Image (LoraManager)", "ComfyUI", "jpeg", False, 100, False, True),
        ),
        active={
            "checkpoints/Illustrious/anime/hassakuXLIllustrious_v13StyleA.safetensors", "loras/illustrious_all_rated_v1", "loras/748cm_illu",
            "embeddings/lazyneg",
        },
        idle={"loras/off_today"},
    ),
    Case(
        name="XLabs, with folders of their own",
        document=ui(
            node(4, "DualCLIPLoader", "t5/google_t5-v1_1-xxl_encoderonly-fp16.safetensors", "flux/clip_l.safetensors", "flux"),
            node(32, "LoadFluxIPAdapter", "75000.safetensors", "flux/clip_vision_l.safetensors", "CPU"),
            node(13, "LoadFluxControlNet", "flux-dev", "flux-depth-controlnet.safetensors"), node(8, "VAELoader", "ae.safetensors"),
            node(35, "FluxLoraLoader", "anime_lora.safetensors", 1), node(10, "UNETLoader", "flux1-dev-fp8.safetensors", "fp8_e4m3fn"),
            node(3, "XlabsSampler", 4, "fixed", 50, 1, 3.5, 0),
        ),
        active={
            "text_encoders/t5/google_t5-v1_1-xxl_encoderonly-fp16.safetensors", "text_encoders/flux/clip_l.safetensors", "xlabs_ipadapters/75000.safetensors",
            "clip_vision/flux/clip_vision_l.safetensors", "xlabs_controlnets/flux-depth-controlnet.safetensors", "vae/ae.safetensors",
            "xlabs_loras/anime_lora.safetensors", "diffusion_models/flux1-dev-fp8.safetensors",
        },
    ),
    Case(
        name="PuLID",
        document=ui(
            node(19, "PulidEvaClipLoader"), node(17, "PulidInsightFaceLoader", "CPU"), node(16, "PulidModelLoader", "ip-adapter_pulid_sdxl_fp16.safetensors"),
            node(33, "ApplyPulid", "fidelity", 0.8, 0, 1), node(4, "CheckpointLoaderSimple", "sdxl/Proteus-RunDiffusion.safetensors"),
        ),
        active={"pulid/ip-adapter_pulid_sdxl_fp16.safetensors", "checkpoints/sdxl/Proteus-RunDiffusion.safetensors"},
    ),
    Case(
        name="a preset of IPAdapter names no file",
        document=ui(
            node(20, "IPAdapterUnifiedLoaderFaceID", "FACEID PLUS V2", 0.6, "CPU"), node(18, "IPAdapterFaceID", 1, 2, "linear", "concat", 0, 1),
            node(4, "CheckpointLoaderSimple", "sd15/realisticVisionV51_v51VAE.safetensors"),
        ),
        active={"checkpoints/sd15/realisticVisionV51_v51VAE.safetensors"},
    ),
    Case(
        name="a background is removed, by names of models that are no files",
        document=prompt(
            n3=("ImageOnlyCheckpointLoader", {"ckpt_name": "hunyuan_3d_v2.1.safetensors"}),
            n13=("RMBG", {"image": ["1", 0], "model": "RMBG-2.0", "sensitivity": 0.5, "process_res": 1024}), n12=("SaveGLB", {"filename_prefix": "mesh/ComfyUI"}),
        ),
        active={"checkpoints/hunyuan_3d_v2.1.safetensors"},
    ),
    Case(
        name="the wrapper of Wan, with a voice and a pose",
        document=ui(
            node(122, "WanVideoModelLoader", "WanVideo\\wan2.1-i2v-14b-480p-Q8_0.gguf", "fp16_fast", "disabled", "offload_device", "sageattn"),
            node(129, "WanVideoVAELoader", "wanvae.safetensors", "bf16"), node(3, "LoadWanVideoT5TextEncoder", "umt5-xxl-enc-fp8_e4m3fn.safetensors", "bf16", "offload_device", "fp8_e4m3fn"),
            node(16, "WanVideoLoraSelect", "wan22-lightning\\Wan22_A14B_T2V_HIGH_Lightning_4steps_lora_250928_rank128_fp16.safetensors", 1, False, True),
            node(141, "OnnxDetectionModelLoader", "vitpose-l-wholebody.onnx", "onnx\\yolov10m.onnx", "CUDAExecutionProvider"),
            node(137, "DownloadAndLoadWav2VecModel", "TencentGameMate/chinese-wav2vec2-base", "fp16", "main_device"),
            node(241, "WanVideoTextEncodeCached", "umt5-xxl-enc-bf16.safetensors", "bf16", "a woman sings", "low quality", "disabled", True, "gpu"),
            node(5, "WanVideoTinyVAELoader", "taew2_1.safetensors", "fp16", False), node(6, "WanVideoUni3C_ControlnetLoader", "Wan21_Uni3C_controlnet_fp16.safetensors", "fp16", "disabled", "main_device", "sdpa"),
            node(7, "WanVideoVACEModelSelect", "Wan2_1-VACE_module_14B_bf16.safetensors"), node(9, "Wav2VecModelLoader", "wav2vec2_base.safetensors", "fp16", "main_device"),
        ),
        active={
            "diffusion_models/WanVideo/wan2.1-i2v-14b-480p-Q8_0.gguf", "vae/wanvae.safetensors", "text_encoders/umt5-xxl-enc-fp8_e4m3fn.safetensors",
            "loras/wan22-lightning/Wan22_A14B_T2V_HIGH_Lightning_4steps_lora_250928_rank128_fp16.safetensors", "detection/vitpose-l-wholebody.onnx",
            "detection/onnx/yolov10m.onnx", "text_encoders/umt5-xxl-enc-bf16.safetensors", "vae_approx/taew2_1.safetensors",
            "controlnet/Wan21_Uni3C_controlnet_fp16.safetensors", "diffusion_models/Wan2_1-VACE_module_14B_bf16.safetensors", "wav2vec2/wav2vec2_base.safetensors",
        },
    ),
    Case(
        name="a style by a file of IPAdapter",
        document=prompt(
            n1=("CheckpointLoaderSimple", {"ckpt_name": "revAnimated_v2Rebirth.safetensors"}), n11=("IPAdapterModelLoader", {"ipadapter_file": "ip-adapter_sd15.safetensors"}),
            n12=("CLIPVisionLoader", {"clip_name": "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"}),
            n6=("IPAdapterAdvanced", {"weight_type": "ease in", "ipadapter": ["11", 0], "clip_vision": ["12", 0]}),
        ),
        active={
            "checkpoints/revAnimated_v2Rebirth.safetensors", "ipadapter/ip-adapter_sd15.safetensors", "clip_vision/CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors",
        },
    ),
    Case(
        name="hands are found and drawn again",
        document=prompt(
            n1=("CheckpointLoaderSimple", {"ckpt_name": "RealVisXL_V5.0_Lightning_fp16.safetensors"}),
            n27=("ReActorFaceSwap", {"enabled": True, "swap_model": "inswapper_128.onnx", "facedetection": "retinaface_resnet50", "face_restore_model": "codeformer-v0.1.0.pth"}),
            n33=("IPAdapterUnifiedLoaderFaceID", {"preset": "FACEID PLUS V2", "lora_strength": 0.75, "provider": "CUDA", "model": ["1", 0]}),
            n38=("UltralyticsDetectorProvider", {"model_name": "bbox/hand_yolov8s.pt"}),
            n39=("BboxDetectorSEGS", {"bbox_detector": ["38", 0], "threshold": 0.3, "labels": "all"}),
            n40=("DetailerForEach", {"wildcard": "detailed hands, five fingers", "sampler_name": "euler", "model": ["1", 0]}),
        ),
        active={
            "checkpoints/RealVisXL_V5.0_Lightning_fp16.safetensors", "insightface/inswapper_128.onnx", "facerestore_models/codeformer-v0.1.0.pth",
            "ultralytics/bbox/hand_yolov8s.pt",
        },
    ),
    Case(
        name="a video of two halves by GGUF",
        document=prompt(
            n38=("CLIPLoader", {"clip_name": "umt5_xxl_fp8_e4m3fn_scaled.safetensors", "type": "wan", "device": "cpu"}), n39=("VAELoader", {"vae_name": "wan_2.1_vae.safetensors"}),
            n61=("UnetLoaderGGUF", {"unet_name": "wan2.2_i2v_high_noise_14B_Q4_K_S.gguf"}), n62=("UnetLoaderGGUF", {"unet_name": "wan2.2_i2v_low_noise_14B_Q4_K_S.gguf"}),
            n63=("VHS_VideoCombine", {"filename_prefix": "2025-07-30/wan22_", "format": "video/h264-mp4", "pix_fmt": "yuv420p"}),
            n65=("PathchSageAttentionKJ", {"sage_attention": "sageattn_qk_int8_pv_fp8_cuda++", "model": ["61", 0]}),
            n69=("LoraLoaderModelOnly", {"lora_name": "Wan21_lightx2v_I2V_14B_480p_cfg_step_distill_rank32_bf16.safetensors", "strength_model": 3.0}),
        ),
        active={
            "text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors", "vae/wan_2.1_vae.safetensors", "diffusion_models/wan2.2_i2v_high_noise_14B_Q4_K_S.gguf",
            "diffusion_models/wan2.2_i2v_low_noise_14B_Q4_K_S.gguf", "loras/Wan21_lightx2v_I2V_14B_480p_cfg_step_distill_rank32_bf16.safetensors",
        },
    ),
    Case(
        name="another background and its light",
        document=prompt(
            n17=("CheckpointLoaderSimple", {"ckpt_name": "epicrealism_naturalSinRC1VAE.safetensors"}), n39=("ControlNetLoader", {"control_net_name": "control_v11f1p_sd15_depth.pth"}),
            n25=("GroundingDinoModelLoader (segment anything)", {"model_name": "GroundingDINO_SwinT_OGC (694MB)"}),
            n26=("SAMModelLoader (segment anything)", {"model_name": "sam_hq_vit_h (2.57GB)"}),
            n42=("DepthAnythingPreprocessor", {"ckpt_name": "depth_anything_vitl14.pth", "resolution": 512}), n49=("IPAdapterUnifiedLoader", {"preset": "PLUS (high strength)"}),
            n87=("LoadAndApplyICLightUnet", {"model_path": "iclight_sd15_fc.safetensors", "model": ["88", 0]}), n46=("Float-🔬", {"value": 0.7}),
        ),
        active={
            "checkpoints/epicrealism_naturalSinRC1VAE.safetensors", "controlnet/control_v11f1p_sd15_depth.pth", "annotators/depth_anything_vitl14.pth",
            "diffusion_models/iclight_sd15_fc.safetensors",
        },
    ),
    Case(
        name="SUPIR with text encoders of its own, by named pairs",
        document=ui(
            node(18, "GetNode", "INPUT_IMG"), node(48, "GetNode", "SUPIRMODEL"), node(47, "SetNode", "SUPIRMODEL"), node(15, "SUPIR_encode", True, 512, "auto"),
            node(19, "Image Comparer (rgthree)", [{"name": "A", "selected": True, "url": "/view?filename=rgthree.compare._temp_xonzl_00003_.png&type=temp"}]),
            node(21, "CheckpointLoaderSimple", "SDXL/JuggernautXL_v9Rundiffusionphoto2.safetensors"),
            node(203, "CLIPLoader", "CLIP-ViT-bigG-14-laion2B-39B-b160k.safetensors", "stable_diffusion"), node(201, "CLIPLoader", "clip-vit-large-patch14.safetensors", "stable_diffusion"),
            node(202, "SUPIR_model_loader_v2_clip", "SUPIR/SUPIR-v0Q.ckpt", False, "auto", True),
        ),
        active={
            "checkpoints/SDXL/JuggernautXL_v9Rundiffusionphoto2.safetensors", "text_encoders/CLIP-ViT-bigG-14-laion2B-39B-b160k.safetensors",
            "text_encoders/clip-vit-large-patch14.safetensors", "checkpoints/SUPIR/SUPIR-v0Q.ckpt",
        },
    ),
)  # fmt: skip
