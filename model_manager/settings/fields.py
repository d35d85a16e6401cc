"""Every setting: its names, what it means, whether a reload adopts it (live) or a restart (restart); and what follows from them.

Names are case-sensitive: PM2 puts thirty lower-case variables (`name`, `status`, `watch`) into every environment.
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from model_manager.errors import BadRecord, BadSetting
from model_manager.facts.disk import Root
from model_manager.facts.identity import MachineId
from model_manager.facts.job import capabilities_in
from model_manager.facts.model import Assignment
from model_manager.facts.quota import Quota, Quotas
from model_manager.facts.trust import Trust

Change = Literal["live", "restart"]
Names = Annotated[tuple[str, ...], NoDecode]

SECRETS = (
    "HF_TOKEN",
    "CIVITAI_TOKEN",
    "CIVITAI_API_KEY",
    "EMPROPS_API_KEY",
    "MODEL_MANAGER_FLEET_TOKEN",
    "MODEL_MANAGER_CATALOG_TOKENS",
    "DATABASE_URL",
    "REDIS_URL",
    "HUB_REDIS_URL",
)


def _setting(default: Any, names: str, help: str, change: Change = "restart", **limits: Any) -> Any:
    """A field under its environment `names`, first wins; `help` says what to write and stands in every refusal."""
    choices = AliasChoices(*names.split())
    return Field(default, validation_alias=choices, description=help, json_schema_extra={"change": change}, **limits)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(case_sensitive=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    # fmt: off
    redis_url: SecretStr | None = _setting(None, "REDIS_URL HUB_REDIS_URL", "redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// address; unset = an embedded server")
    redis_prefix: str = _setting("", "MODEL_MANAGER_REDIS_PREFIX", "text before every key; '{pool}:' keeps a pool in one Cluster slot", max_length=64)
    redis_cert_file: Path | None = _setting(None, "MODEL_MANAGER_REDIS_CERT_FILE", "PEM file with the certificate that this program shows a Redis that wants one (rediss://)")
    redis_key_file: Path | None = _setting(None, "MODEL_MANAGER_REDIS_KEY_FILE", "PEM file with the key of that certificate, without a passphrase; unset = it stands in the same file")
    stream_length: int = _setting(200_000, "MODEL_MANAGER_STREAM_LENGTH", "entries that the event stream keeps, about (1000 or more)", ge=1000)
    stream_age: float = _setting(604_800, "MODEL_MANAGER_STREAM_AGE", "seconds that entries stay in the event stream, about, unless it is full (60 or more)", ge=60)

    catalog_url: str | None = _setting(None, "EMPROPS_API_BASE_URL EMPROPS_API_URL EMP_API_URL", "http(s) address of the catalog API; unset = the built-in catalog")
    catalog_key: SecretStr | None = _setting(None, "EMPROPS_API_KEY", "bearer token of the catalog, if it wants one")
    catalog_poll_seconds: float = _setting(60, "MODEL_MANAGER_CATALOG_POLL_SECONDS", "seconds between two looks at the catalog (1 to 86400)", "live", ge=1, le=86400)

    workflow_ids: Names = _setting((), "WORKFLOW_IDS", "comma list of workflow names or ids", "live")
    collection_ids: Names = _setting((), "COLLECTION_IDS COLLECTIONS", "comma list of collection ids", "live")
    components: Names = _setting((), "COMPONENTS", "comma list of components (workflows under their old name)", "live")
    models: Names = _setting((), "MACHINE_MODELS_NEEDED", "comma list of model names or ids", "live")
    migrate_to_workflows: bool = _setting(False, "MIGRATE_TO_WORKFLOWS", "true turns COMPONENTS into WORKFLOW_IDS", "live")
    assignment_file: Path | None = _setting(None, "MODEL_MANAGER_ASSIGNMENT_FILE", "JSON file with workflows, collections, components, models; watched")
    workflow_files: Names = _setting((), "WORKFLOW_FILES", "comma list of ComfyUI workflow files (paths or patterns such as /flows/*.json; pictures too) whose models this machine has to have; watched", "live")
    workflow_dir: Path | None = _setting(None, "MODEL_MANAGER_WORKFLOW_DIR", "directory into which such workflow files are dropped; watched", "live")

    stall_minutes: float = _setting(30, "MODEL_DOWNLOAD_TIMEOUT_MINUTES", "minutes without a new byte after which a download counts as failed (more than 0, at most 1440)", "live", gt=0, le=1440)
    concurrency: int = _setting(3, "MODEL_DOWNLOAD_CONCURRENCY", "models downloaded at once (1 to 64)", ge=1, le=64)
    retry_attempts: int = _setting(3, "MODEL_DOWNLOAD_RETRY_ATTEMPTS", "attempts in a row before a download counts as failed and is retried slowly (1 to 100)", "live", ge=1, le=100)
    rate_limit: str = _setting("", "MODEL_DOWNLOAD_RATE_LIMIT", "bytes per second of all downloads, of any one host (*=) or of a host by name: 200MB,*=100MB,civitai.com=20MB (0 = no limit)", "live")
    connections: str = _setting("*=16", "MODEL_DOWNLOAD_CONNECTIONS", "connections at once, of all downloads, of any one host (*=) or of a host by name: 64,*=16,civitai.com=4 (0 = no limit)", "live")
    requests: str = _setting("", "MODEL_DOWNLOAD_REQUESTS", "requests per minute, of all downloads, of any one host (*=) or of a host by name: *=600,huggingface.co=100 (0 = no limit)", "live")
    min_speed: int = _setting(16_384, "MODEL_MANAGER_MIN_SPEED", "bytes per second below which, over 30 s, a connection is given up (0 = never)", "live", ge=0)
    disk_floor: int = _setting(2_000_000_000, "MODEL_MANAGER_DISK_FLOOR", "bytes that downloads leave free on the models disk (0 or more)", "live", ge=0)
    unpinned: Literal["accept", "refuse"] = _setting("accept", "MODEL_MANAGER_UNPINNED", "accept or refuse models for which nobody gives a hash (accepted ones are checked by length and format)", "live")
    allow_pickle: bool = _setting(False, "MODEL_MANAGER_ALLOW_PICKLE", "true accepts .ckpt/.pt/.pth/.bin files without a pinned hash; they can carry code", "live")
    allow_hosts: Names = _setting((), "MODEL_MANAGER_ALLOW_HOSTS", "comma list of host or host:port that may be private addresses (a mirror in your network)")
    ca_file: Path | None = _setting(None, "MODEL_MANAGER_CA_FILE", "PEM file with further certificate authorities")
    proxy: str | None = _setting(None, "MODEL_MANAGER_PROXY", "http(s) address of a proxy for downloads")

    hf_token: SecretStr | None = _setting(None, "HF_TOKEN", "HuggingFace access token, or HF_TOKEN_FILE naming a file of mode 0600", "live")
    civitai_token: SecretStr | None = _setting(None, "CIVITAI_TOKEN CIVITAI_API_KEY", "CivitAI API key, or CIVITAI_TOKEN_FILE naming a file of mode 0600", "live")
    hf_hosts: Names = _setting(("huggingface.co",), "MODEL_MANAGER_HF_HOSTS", "hosts (host or host:port) that are HuggingFace and may see HF_TOKEN")
    civitai_hosts: Names = _setting(("civitai.com",), "MODEL_MANAGER_CIVITAI_HOSTS", "hosts (host or host:port) that are CivitAI and may see CIVITAI_TOKEN")

    machine_id: str = _setting("", "MACHINE_ID", "letters, digits, '-' and '_'; unset = the host name")
    workspace: Path | None = _setting(None, "WORKSPACE_PATH WORKSPACE_DIR", "directory that holds ComfyUI and, by default, models/")
    comfyui_base: Path | None = _setting(None, "COMFYUI_BASE_PATH", "ComfyUI's own directory, which its installer may wipe")
    comfyui_models: Path | None = _setting(None, "COMFYUI_MODELS_PATH", "the models directory that ComfyUI reads")
    model_path: Path | None = _setting(None, "MODEL_PATH", "the models directory of this machine")
    store: Path | None = _setting(None, "MODEL_MANAGER_STORE", "where models are kept; best outside the ComfyUI tree")
    extra_model_paths: Names = _setting((), "MODEL_MANAGER_EXTRA_MODEL_PATHS", "comma list of extra_model_paths.yaml files whose directories are indexed too")
    expose: Literal["links", "none"] = _setting("links", "MODEL_MANAGER_EXPOSE", "links: models of a store outside ComfyUI are linked into its models directory; none: only extra_model_paths.yaml is written")
    hub_cache: Path | None = _setting(None, "HF_HUB_CACHE HUGGINGFACE_HUB_CACHE", "HuggingFace's cache, from which wanted files are taken instead of downloaded (only read); unset = hub in HF_HOME")
    hub_home: Path | None = _setting(None, "HF_HOME", "HuggingFace's directory; unset = huggingface in the user's cache directory")
    state_dir: Path | None = _setting(None, "MODEL_MANAGER_STATE_DIR", "directory for index, sockets and logs; not shared between machines")

    settle_seconds: float = _setting(1.0, "MODEL_MANAGER_SETTLE_SECONDS", "seconds a file must rest before it is indexed (0.1 to 60)", "live", ge=0.1, le=60)
    reconcile_seconds: float = _setting(300, "MODEL_MANAGER_RECONCILE_SECONDS", "seconds between full scans (1 to 86400)", "live", ge=1, le=86400)
    read_rate: str = _setting("250MB", "MODEL_MANAGER_READ_RATE", "bytes per second that reading files nobody waits for takes of each device, so that inference is not starved (0 = no limit)", "live")
    readers: int = _setting(0, "MODEL_MANAGER_READERS", "files of one device that are read at once (1 to 64); 0 = what suits the device: 1 on rotating disks, 2 on network mounts, else one a core", "live", ge=0, le=64)
    scrub_days: float = _setting(30, "MODEL_MANAGER_SCRUB_DAYS", "days after which a verified file is read again to find bit rot (0 = never)", "live", ge=0, le=3650)
    scrub_rate: str = _setting("50MB", "MODEL_MANAGER_SCRUB_RATE", "bytes per second that this reading takes of each device (0 = no limit)", "live")
    metadata: Literal["none", "local", "civitai"] = _setting("local", "MODEL_MANAGER_METADATA", "none; local: what lies beside the models and in their headers; civitai: also asks CivitAI by hash what is still unknown", "live")
    civitai_api: str = _setting("https://civitai.com", "MODEL_MANAGER_CIVITAI_API", "http(s) address of CivitAI's API or of a mirror of it")
    hf_api: str = _setting("https://huggingface.co", "MODEL_MANAGER_HF_API", "http(s) address of HuggingFace's API or of a mirror of it, where models are searched for by name")
    heartbeat_seconds: float = _setting(15, "MODEL_MANAGER_HEARTBEAT_SECONDS", "seconds between heartbeats; the lease lasts four (0.2 to 30)", ge=0.2, le=30)
    services: Names = _setting((), "MODEL_MANAGER_SERVICES", "comma list of the services that workers of this machine run, such as comfyui; unset = the agent offers this machine to no job", "live")
    capabilities: str = _setting("", "MODEL_MANAGER_CAPABILITIES", "JSON object of what else jobs may ask of this machine: {\"hardware\": {\"gpu_memory_gb\": 24}, \"asset_type\": [\"image\"]}", "live")
    http_host: str = _setting("127.0.0.1", "MODEL_MANAGER_HTTP_HOST", "address for the optional read-only TCP port")
    http_port: int | None = _setting(None, "MODEL_MANAGER_HTTP_PORT", "optional TCP port with the read-only routes (1 to 65535)", ge=1, le=65535)
    telemetry: bool = _setting(False, "MODEL_MANAGER_TELEMETRY", "true copies events to the stream telemetry:events, in the form that the dashboards of an existing fleet read")
    otlp_endpoint: str | None = _setting(None, "OTEL_EXPORTER_OTLP_ENDPOINT", "http(s) address of an OpenTelemetry collector that takes traces over HTTP, such as http://127.0.0.1:4318; needs the packages of model_manager[otel]; unset = no traces")
    fleet_host: str = _setting("127.0.0.1", "MODEL_MANAGER_FLEET_HOST", "address on which 'model-manager fleet serve' listens")
    fleet_port: int = _setting(8190, "MODEL_MANAGER_FLEET_PORT", "port on which 'model-manager fleet serve' listens (0 to 65535; 0 = any free one)", ge=0, le=65535)
    fleet_names: Names = _setting((), "MODEL_MANAGER_FLEET_NAMES", "comma list of host names, besides addresses and localhost, under which the fleet's HTTP API is asked")
    fleet_token: SecretStr | None = _setting(None, "MODEL_MANAGER_FLEET_TOKEN", "bearer token that writes to the fleet's HTTP API must bring, or MODEL_MANAGER_FLEET_TOKEN_FILE naming a file of mode 0600; unset = writes are refused")
    fleet_import: int = _setting(1_000_000_000, "MODEL_MANAGER_FLEET_IMPORT_BYTES", "bytes of a StableQueue database that the fleet takes in over HTTP (1 or more)", ge=1)
    fleet_updates_hours: float = _setting(0, "MODEL_MANAGER_FLEET_UPDATES_HOURS", "hours after which the fleet asks CivitAI again which versions of its models are published (1 to 8760; 0 = only when somebody asks for it)", ge=0, le=8760)
    notify_hosts: Names = _setting((), "MODEL_MANAGER_NOTIFY_HOSTS", "comma list of hosts in private networks, each host or host:port, that webhooks of notifications may be sent to")
    notify_days: float = _setting(30, "MODEL_MANAGER_NOTIFY_DAYS", "days for which notifications are kept (0.01 to 3650)", ge=0.01, le=3650)
    database_url: SecretStr | None = _setting(None, "DATABASE_URL", "postgresql:// address where 'model-manager catalog' keeps its records, or DATABASE_URL_FILE naming a file of mode 0600; unset = one SQLite file in the state directory")
    catalog_host: str = _setting("127.0.0.1", "MODEL_MANAGER_CATALOG_HOST", "address on which 'model-manager catalog serve' listens")
    catalog_port: int = _setting(8484, "MODEL_MANAGER_CATALOG_PORT", "port on which 'model-manager catalog serve' listens (0 to 65535; 0 = any free one)", ge=0, le=65535)
    catalog_names: Names = _setting((), "MODEL_MANAGER_CATALOG_NAMES", "comma list of host names, besides addresses and localhost, under which the catalog is asked")
    catalog_origins: Names = _setting((), "MODEL_MANAGER_CATALOG_ORIGINS", "comma list of origins (https://ui.example.com) whose pages may ask the catalog; * = all")
    catalog_tokens: SecretStr | None = _setting(None, "MODEL_MANAGER_CATALOG_TOKENS", "comma list of name=token of those who may write to the catalog (one token alone is that of `writer`), or MODEL_MANAGER_CATALOG_TOKENS_FILE naming a file of mode 0600; unset = writes are refused")
    catalog_requests: int = _setting(6000, "MODEL_MANAGER_CATALOG_REQUESTS", "requests per minute that the catalog answers to one address (0 = no limit)", ge=0, le=10_000_000)
    catalog_changes: int = _setting(100_000, "MODEL_MANAGER_CATALOG_CHANGES", "changes that the catalog's feed and its audit trail go back (1000 to 100000000)", ge=1000, le=100_000_000)
    catalog_processes: int = _setting(1, "MODEL_MANAGER_CATALOG_PROCESSES", "processes that serve the catalog together (1 to 64); more than one for hundreds of batches a second", ge=1, le=64)
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"] = _setting("INFO", "MODEL_MANAGER_LOG_LEVEL", "TRACE, DEBUG, INFO, WARNING or ERROR", "live")
    # fmt: on

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` collected: environment and file are merged there, where contradictions are seen."""
        return (init_settings,)

    @field_validator(
        "workflow_ids", "collection_ids", "components", "models", "workflow_files", "allow_hosts", "hf_hosts", "civitai_hosts", "extra_model_paths", "fleet_names", "notify_hosts", "services", "catalog_names", "catalog_origins",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _names(cls, value: Any) -> Any:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
            raise ValueError("it is no list of names")
        return tuple(dict.fromkeys(item.strip() for item in items if item.strip()))

    @field_validator("machine_id")
    @classmethod
    def _machine(cls, value: str) -> str:
        try:
            return str(MachineId.parse(value or _host_as_id()))
        except BadSetting as error:
            raise ValueError(error.facts["why"]) from None  # one problem among others, not the end of looking

    @field_validator("read_rate", "scrub_rate")
    @classmethod
    def _rate(cls, value: str) -> str:
        if "=" in value or "," in value:
            raise ValueError("it is not one amount")
        return cls._quota(value)

    @field_validator("rate_limit", "connections", "requests")
    @classmethod
    def _quota(cls, value: str) -> str:
        try:
            Quota.parse(value, "")
        except BadSetting as error:
            raise ValueError(error.facts["why"]) from None
        return value

    @field_validator("hf_token", "civitai_token", "catalog_key", "fleet_token")
    @classmethod
    def _token(cls, value: SecretStr | None) -> SecretStr | None:
        """It becomes a header: what is no single word could break it, and the failure could show it."""
        if value is not None and not re.fullmatch(r"[!-~]+", value.get_secret_value()):
            raise ValueError("it is not one token of plain letters")
        return value

    @field_validator("capabilities")
    @classmethod
    def _object(cls, value: str) -> str:
        try:
            capabilities_in(value)
        except BadRecord as error:
            raise ValueError(error.facts["why"]) from None
        return value

    @field_validator("catalog_url", "proxy", "civitai_api", "hf_api")
    @classmethod
    def _web(cls, value: str | None) -> str | None:
        if value is not None:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("it is no http(s) address")
            if parts.username or parts.password:
                raise ValueError("it carries a password; use the key's own variable")
        return value.rstrip("/") if value else None

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.match(r"(rediss?(\+sentinel|\+cluster)?|unix)://", value.get_secret_value()):
            raise ValueError("it is no redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// address")
        return value

    @field_validator("catalog_tokens")
    @classmethod
    def _writers(cls, value: SecretStr | None) -> SecretStr | None:
        pairs = _writers_in(value)
        if not all(
            re.fullmatch(r"[\w.@-]{1,100}", name) and re.fullmatch(r"[!-+\--~]{6,}", token) for name, token in pairs
        ):
            raise ValueError("it is no comma list of name=token with tokens of six plain letters or more")
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a name stands in it twice")
        return value

    @property
    def catalog_writers(self) -> dict[str, str]:
        """Name → token of those who may write to the catalog."""
        return dict(_writers_in(self.catalog_tokens))

    @property
    def redis_trust(self) -> Trust:
        """Whom to believe of a Redis that speaks TLS."""
        files = (self.ca_file, self.redis_cert_file, self.redis_key_file)
        ca, cert, key = (None if each is None else str(each) for each in files)
        return Trust(ca_file=ca, cert_file=cert, key_file=key)

    @property
    def assignment(self) -> Assignment:
        """What the environment and the settings file assign."""
        migrated = self.migrate_to_workflows
        return Assignment(
            workflows=tuple(dict.fromkeys((*self.workflow_ids, *(self.components if migrated else ())))),
            collections=self.collection_ids,
            components=() if migrated else self.components,
            models=self.models,
        )

    @property
    def quotas(self) -> Quotas:
        """What downloads may take of the network."""
        return Quotas(
            rate=Quota.parse(self.rate_limit, "MODEL_DOWNLOAD_RATE_LIMIT"),
            connections=Quota.parse(self.connections, "MODEL_DOWNLOAD_CONNECTIONS"),
            requests=Quota.parse(self.requests, "MODEL_DOWNLOAD_REQUESTS"),
        )

    @property
    def pace(self) -> int | None:
        """Bytes per second of background reading on each device, None without a limit."""
        return Quota.parse(self.read_rate, "MODEL_MANAGER_READ_RATE").total

    @property
    def scrub_pace(self) -> int | None:
        """The same for the search for bit rot."""
        return Quota.parse(self.scrub_rate, "MODEL_MANAGER_SCRUB_RATE").total

    @property
    def comfyui_models_dir(self) -> Path | None:
        """Where ComfyUI looks by default, as far as we were told."""
        if self.comfyui_models:
            return self.comfyui_models
        base = self.comfyui_base or (self.workspace / "ComfyUI" if self.workspace else None)
        return base / "models" if base else None

    @property
    def own_store(self) -> Path | None:
        """The directory that we write to: what was named for it, else a models/ that a wiped ComfyUI tree leaves alone."""
        if named := self.store or self.model_path or self.comfyui_models:
            return named
        return self.workspace / "models" if self.workspace else self.comfyui_models_dir

    @property
    def own_root(self) -> Root:
        """Raises BadSetting when no models directory was named."""
        if self.own_store is None:
            raise BadSetting(
                name="MODEL_MANAGER_STORE",
                why="no models directory is named",
                fix="Set MODEL_MANAGER_STORE, MODEL_PATH, COMFYUI_MODELS_PATH or WORKSPACE_PATH.",
            )
        return Root(path=str(self.own_store.absolute()), own=True)

    @property
    def hub(self) -> Path:
        """HuggingFace's cache, where huggingface_hub itself looks for it (its constants.py); it need not exist."""
        home = self.hub_home or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
        return (self.hub_cache or home / "hub").expanduser().absolute()

    @property
    def state(self) -> Path:
        if self.state_dir:
            return self.state_dir.absolute()
        if self.workspace:
            return (self.workspace / ".model_manager").absolute()
        home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        return Path(home) / "model_manager"


def _writers_in(value: SecretStr | None) -> list[tuple[str, str]]:
    """(name, token), as they are written."""
    pairs = [pair.strip() for pair in value.get_secret_value().split(",")] if value is not None else []
    return [
        (name, token) if mark else ("writer", name) for name, mark, token in (pair.partition("=") for pair in pairs)
    ]


def _host_as_id() -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:128].lstrip("-_") or "machine"


def names() -> dict[str, str]:
    """Every environment name → the field it fills."""
    return {
        str(name): field
        for field, info in Settings.model_fields.items()
        for name in (info.validation_alias.choices if isinstance(info.validation_alias, AliasChoices) else ())
    }


def change_of(field: str) -> Change:
    """Whether a reload adopts the field."""
    extra = Settings.model_fields[field].json_schema_extra
    if not isinstance(extra, dict) or extra.get("change") not in get_args(Change):
        raise KeyError(field)
    return "live" if extra["change"] == "live" else "restart"
