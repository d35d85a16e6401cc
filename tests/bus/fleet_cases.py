"""Random jobs and workers in the shapes that the running fleet writes, small enough that most rules decide now and then."""

from __future__ import annotations

import json
from typing import Any, Final

from hypothesis import strategies as st

NAMES: Final = ("a.safetensors", "b.safetensors", "SD15/c.safetensors", "c.safetensors", "B.safetensors")
SERVICES: Final = ("comfyui", "a1111")
CUSTOMERS: Final = ("", "acme", "globex")
WORKFLOWS: Final = ("", "wf1", "wf2")

some_names = st.lists(st.sampled_from(NAMES), max_size=3, unique=True)
gigabytes = st.sampled_from((8, 16, 24))

asked_models = st.one_of(some_names, st.sampled_from(NAMES), st.just("all"), st.none())
asked_gigabytes = st.one_of(gigabytes, st.just("all"), st.sampled_from(("16", "24")), st.none())
asked_hardware = st.one_of(
    st.none(),
    st.fixed_dictionaries({}, optional={"gpu_memory_gb": asked_gigabytes, "ram_gb": st.sampled_from((16, 64))}),
)
capabilities: Final[dict[str, st.SearchStrategy[Any]]] = {
    "quality_level": st.sampled_from(("fast", "best", "all")),
    "geographic_region": st.sampled_from(("eu", "us", "any")),
    "features": st.lists(st.sampled_from(("x", "y")), max_size=2),
    "max_batch_size": st.sampled_from((1, 4)),
    "asset_type": st.sampled_from(("image", "video")),
    "component": st.just("all"),
    "timeout_minutes": st.sampled_from((5, 60)),
    "limits": st.fixed_dictionaries({}, optional={"hours": st.sampled_from((1, 8)), "nsfw": st.booleans()}),
}
asked = st.fixed_dictionaries(
    {},
    optional={
        "models": asked_models,
        "hardware": asked_hardware,
        "gpu_memory_gb": gigabytes,
        "customer_isolation": st.sampled_from(("strict", "loose", "none")),
        "service_type": st.sampled_from(SERVICES),
        **capabilities,
    },
)
unwanted = st.fixed_dictionaries(
    {},
    optional={
        "models": some_names,
        "hardware": st.fixed_dictionaries({}, optional={"gpu_memory_gb": gigabytes}),
        "features": st.lists(st.sampled_from(("x", "y")), min_size=1, max_size=2),
        "asset_type": st.sampled_from(("image", "video")),
    },
)
broken = st.sampled_from(
    ("{", "x", '"x"', "[1]", "7", '{"models": 7}', '{"models": [7]}', '{"hardware": 3}', '{"gpu_memory_gb": "much"}')
)


@st.composite
def requirements(draw: st.DrawFn) -> str:
    """As text: mostly what a producer means, at times nothing, at times nonsense."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.one_of(broken, st.just("")))
    wanted = draw(asked)
    if draw(st.booleans()):
        wanted = {**wanted, "negative_requirements": draw(unwanted)}
    if draw(st.integers(0, 5)) == 0:
        negative = wanted.pop("negative_requirements", {})
        wanted = {"positive_requirements": wanted, "negative_requirements": negative}
    return json.dumps(wanted)


@st.composite
def job(draw: st.DrawFn, number: int) -> dict[str, str]:
    """The hash of one job."""
    return {
        "id": f"j{number}",
        "service_required": draw(st.sampled_from((*SERVICES, "comfyui"))),
        "priority": "50",
        "payload": json.dumps({"n": number}),
        "requirements": draw(requirements()),
        "customer_id": draw(st.sampled_from(CUSTOMERS)),
        "status": draw(st.sampled_from(("pending", "pending", "pending", "pending", "cancelled"))),
        "retry_count": "0",
        "max_retries": "3",
        "workflow_id": draw(st.sampled_from(WORKFLOWS)),
        "last_failed_worker": draw(st.sampled_from(("", "", "", "w1"))),
    }


@st.composite
def jobs(draw: st.DrawFn) -> list[dict[str, str]]:
    """Best first."""
    return [draw(job(number)) for number in range(draw(st.integers(1, 8)))]


worker = st.fixed_dictionaries(
    {
        "services": st.lists(st.sampled_from(SERVICES), min_size=1, max_size=2, unique=True),
        "models": st.one_of(
            st.just("all"),
            st.dictionaries(st.sampled_from(SERVICES), st.one_of(some_names, st.just("all")), max_size=2),
        ),
    },
    optional={
        "hardware": st.fixed_dictionaries(
            {}, optional={"gpu_memory_gb": gigabytes, "ram_gb": st.sampled_from((8, 32, 64))}
        ),
        "customer_access": st.fixed_dictionaries(
            {"isolation": st.sampled_from(("strict", "loose", "none"))},
            optional={
                "allowed_customers": st.lists(st.sampled_from(CUSTOMERS[1:]), max_size=1),
                "denied_customers": st.lists(st.sampled_from(CUSTOMERS[1:]), max_size=1),
            },
        ),
        "workflow_id": st.sampled_from(WORKFLOWS),
        "performance": st.fixed_dictionaries(
            {}, optional={"quality_levels": st.lists(st.sampled_from(("fast", "best")), max_size=2)}
        ),
        "location": st.fixed_dictionaries({}, optional={"geographic_region": st.sampled_from(("eu", "us"))}),
        "features": st.lists(st.sampled_from(("x", "y", "z")), max_size=3),
        "max_batch_size": st.sampled_from((1, 2, 8)),
        "asset_type": st.one_of(st.sampled_from(("image", "video")), st.just(["image", "video"])),
        "limits": st.fixed_dictionaries({}, optional={"hours": st.sampled_from((2, 9)), "nsfw": st.booleans()}),
    },
)


@st.composite
def workers(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Some that ask one after the other, each more than once."""
    all_ = [{"worker_id": f"w{n}", "machine_id": "m1", **draw(worker)} for n in range(1, 4)]
    return [each | {"job_service_required_map": each["services"]} for each in all_]
