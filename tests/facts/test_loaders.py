"""How the table of loaders is read."""

from __future__ import annotations

from model_manager.facts.loaders import Live, Loader, Widget, known_folders, loader_of, parsed


def test_a_line_names_widgets_folders_and_roles() -> None:
    loader = parsed("toggle? a=vae+vae_approx b=diffusers/ c=loras. d=LLM@ plain num! one^ text~ [x_#=loras w_#]")
    assert [(widget.name, widget.role, widget.folders) for widget in loader.head] == [
        ("toggle", "switch", ()), ("a", "file", ("vae", "vae_approx")), ("b", "directory", ("diffusers",)),
        ("c", "stem", ("loras",)), ("d", "fetched", ("LLM",)), ("plain", "", ()), ("num", "count", ()),
        ("one", "choice", ()), ("text", "unread", ()),
    ]  # fmt: skip
    assert [widget.name for widget in loader.models] == ["a", "b", "c", "d", "x_#"]


def test_rows_repeat_for_as_many_values_as_there_are() -> None:
    loader = parsed("mode [lora_#=loras wt_#]")
    assert [widget.name for widget in loader.order(6)] == ["mode", "lora_1", "wt_1", "lora_2", "wt_2", "lora_3"]
    assert [widget.name for widget in parsed("[loras.#0.lora_name=loras loras.#0.strength]").order(3)] == [
        "loras.0.lora_name", "loras.0.strength", "loras.1.lora_name",
    ]  # fmt: skip


def test_rows_are_found_by_name_and_number() -> None:
    loader = parsed("mode [lora_#_name=loras lora_#_strength]")
    found = loader.named("lora_12_name")
    assert found == Widget(name="lora_12_name", role="file", folders=("loras",))
    assert (loader.row_of("lora_12_name"), loader.row_of("lora_x_name"), loader.row_of("mode")) == (12, None, None)
    assert loader.named("lora_12") is None


def test_nodes_that_wrap_another_keep_its_inputs() -> None:
    for wrapped in (
        "UNETLoaderMultiGPU", "UNETLoaderDisTorch2MultiGPU", "UnetLoaderGGUFDisTorchMultiGPU", "UnetLoaderGGUFDynamicVRAM",
    ):  # fmt: skip
        found = loader_of(wrapped)
        assert found is not None
        assert found.head[0].folders == ("diffusion_models",)
    assert loader_of("KSampler") is None


def test_the_order_of_what_comfyui_brings_along_is_certain_and_others_change_theirs() -> None:
    kinds = ("UNETLoader", "UnetLoaderGGUF", "UNETLoaderMultiGPU")
    assert [found.custom for kind in kinds if (found := loader_of(kind))] == [False, True, True]


def test_a_running_comfyui_tells_the_order_and_the_table_what_lists_do_not_tell() -> None:
    told = Loader(head=(Widget(name="new_widget"), Widget(name="model_path")), live=True)
    both = loader_of("DiffusersLoader", Live(loaders={"DiffusersLoader": told}))
    assert both is not None
    assert [widget.role for widget in both.head] == ["", "directory"]
    moved = Loader(head=(Widget(name="vae_name", role="file", folders=("my_vaes",)),), live=True)
    assert loader_of("VAELoader", Live(loaders={"VAELoader": moved})) == moved


def test_old_names_of_folders_are_known_too() -> None:
    assert {"unet", "clip", "loras", "ultralytics"} <= known_folders()
