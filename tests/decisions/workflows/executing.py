"""The prompt that the editor would send for a drawing, by the rules of ComfyUI's frontend 1.58 (graphToPrompt).

Written for tests, apart from the product's own unfolding and without its tables, so that one can be held against the other:
nodes are visited from the outside in, an input asks its link for a value, and a link that ends at the edge of a subgraph
asks the instance. `WIDGETS` are the names of the inputs of the loaders that occur in the corpus, as ComfyUI's nodes.py has
them; values of other nodes are called by their number, unless the drawing names them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

WIDGETS: Final[dict[str, tuple[str, ...]]] = {
    "AudioEncoderLoader": ("audio_encoder_name",),
    "CLIPLoader": ("clip_name", "type", "device"),
    "CLIPVisionLoader": ("clip_name",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "ConditioningLoader": ("conditioning_name",),
    "ControlNetLoader": ("control_net_name",),
    "DualCLIPLoader": ("clip_name1", "clip_name2", "type", "device"),
    "FrameInterpolationModelLoader": ("model_name",),
    "ImageOnlyCheckpointLoader": ("ckpt_name",),
    "LTXAVTextEncoderLoader": ("text_encoder", "ckpt_name", "device"),
    "LTXVAudioVAELoader": ("ckpt_name",),
    "LatentUpscaleModelLoader": ("model_name",),
    "LoadBackgroundRemovalModel": ("bg_removal_name",),
    "LoadDA3Model": ("model_name", "weight_dtype"),
    "LoadMediaPipeFaceLandmarker": ("model_name",),
    "LoadMoGeModel": ("model_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "ModelPatchLoader": ("name",),
    "OpticalFlowLoader": ("model_name",),
    "QuadrupleCLIPLoader": ("clip_name1", "clip_name2", "clip_name3", "clip_name4"),
    "SAM3DBody_Loader": ("model_file",),
    "StyleModelLoader": ("style_model_name",),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "UpscaleModelLoader": ("model_name",),
    "VAELoader": ("vae_name",),
}

VIRTUAL: Final = ("Note", "MarkdownNote", "PrimitiveNode", "Reroute")
OFF: Final = (2, 4)


@dataclass
class Graph:
    """An instance of a graph: `owner` is the graph and the node that it is an instance of."""

    body: Json
    path: tuple[str, ...] = ()
    owner: tuple[Graph, Json] | None = None

    def node(self, node_id: Any) -> Json | None:
        return next((node for node in self.body["nodes"] if str(node["id"]) == str(node_id)), None)

    def link(self, link_id: Any) -> tuple[Any, int] | None:
        for row in self.body.get("links", []):
            if isinstance(row, list) and row[0] == link_id:
                return row[1], row[2]
            if isinstance(row, dict) and row["id"] == link_id:
                return row["origin_id"], row["origin_slot"]
        return None


class Executing:
    def __init__(self, workflow: Json) -> None:
        self.definitions = {each["id"]: each for each in workflow.get("definitions", {}).get("subgraphs", [])}
        self.top = Graph(workflow)

    def prompt(self) -> Json:
        output: Json = {}
        self._send(self.top, output)
        for node in output.values():
            links = [
                name for name, value in node["inputs"].items() if isinstance(value, list) and value[0] not in output
            ]
            for name in links:
                del node["inputs"][name]
        return output

    def _send(self, graph: Graph, output: Json) -> None:
        for node in graph.body["nodes"]:
            if node.get("mode", 0) in OFF or node["type"] in VIRTUAL:
                continue
            if node["type"] in self.definitions:
                inner = Graph(self.definitions[node["type"]], (*graph.path, str(node["id"])), (graph, node))
                self._send(inner, output)
                continue
            key = ":".join((*graph.path, str(node["id"])))
            output[key] = {"class_type": node["type"], "inputs": self._inputs(graph, node)}

    def _inputs(self, graph: Graph, node: Json) -> Json:
        inputs = {
            name: {"__value__": value} if isinstance(value, list) else value for name, value in self._own(node).items()
        }
        for entry in node.get("inputs") or []:
            found = self._from(graph, entry.get("link"))
            if found is not None:
                inputs[(entry.get("widget") or entry)["name"]] = found[0]
        return inputs

    def _own(self, node: Json) -> Json:
        values = node.get("widgets_values") or []
        if isinstance(values, dict):
            return values
        names = list(WIDGETS.get(node["type"], ()))
        names += [f"value_{number}" for number in range(len(names), len(values))]
        return dict(zip(names, values, strict=False))

    def _from(self, graph: Graph, link_id: Any) -> tuple[Any] | None:
        """What arrives by a link, in a tuple; None when nothing does."""
        link = graph.link(link_id) if link_id is not None else None
        if link is None:
            return None
        origin, slot = link
        if origin == graph.body.get("inputNode", {}).get("id", -10) and graph.owner:
            return self._handed(*graph.owner, graph.body, slot)
        node = graph.node(origin)
        if node is None or node.get("mode", 0) in OFF:
            return None
        if node["type"] == "PrimitiveNode":
            return (node["widgets_values"][0],)
        if node["type"] == "Reroute":
            return self._from(graph, (node.get("inputs") or [{}])[0].get("link"))
        return ([":".join((*graph.path, str(origin))), slot],)

    def _handed(self, outer: Graph, instance: Json, definition: Json, slot: int) -> tuple[Any] | None:
        name = definition["inputs"][slot]["name"]
        entry = next((each for each in instance.get("inputs") or [] if each["name"] == name), None)
        if entry and entry.get("link") is not None:
            return self._from(outer, entry["link"])
        values = self._promoted(instance, definition)
        if slot in values:
            return (values[slot],)
        return None

    def _promoted(self, instance: Json, definition: Json) -> dict[int, Any]:
        values = instance.get("widgets_values") or []
        proxies = (instance.get("properties") or {}).get("proxyWidgets") or []
        if proxies:
            slots = [self._slot_of(definition, str(node), widget) for node, widget, *_ in proxies]
            return {
                slot: value
                for slot, value in zip(slots, values, strict=False)
                if slot is not None and value is not None
            }
        slots_in_order = [slot for slot in range(len(definition["inputs"])) if self._is_widget(definition, slot)]
        return {slot: value for slot, value in zip(slots_in_order, values, strict=False) if value is not None}

    def _slot_of(self, definition: Json, node_id: str, widget: str) -> int | None:
        for slot, each in enumerate(definition["inputs"]):
            if node_id == "-1" and each["name"] == widget:
                return slot
            if (node_id, widget) in self._targets(definition, slot):
                return slot
        return None

    def _is_widget(self, definition: Json, slot: int) -> bool:
        return any(widget for _, widget in self._targets(definition, slot))

    def _targets(self, definition: Json, slot: int) -> set[tuple[str, str]]:
        start = definition.get("inputNode", {}).get("id", -10)
        links = {row["id"] for row in definition["links"] if row["origin_id"] == start and row["origin_slot"] == slot}
        return {
            (str(node["id"]), (entry.get("widget") or {}).get("name", ""))
            for node in definition["nodes"]
            for entry in node.get("inputs") or []
            if entry.get("link") in links
        }


def prompt_of(workflow: Json) -> Json:
    """The prompt of a drawing (API format)."""
    return Executing(workflow).prompt()
