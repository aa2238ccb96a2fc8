"""Configuration: a file becomes frozen settings, or an error that names the key.

``settings`` has every key; ``schema`` has the way in which keys are declared and read. Neither knows Twisted, nor how
the roles use a setting.
"""

from typing import TypeAlias

from sccachedist.config.clients import ClientClass, ClientSettings, ClientsSettings, TokenSettings
from sccachedist.config.cluster import ClusterSettings
from sccachedist.config.files import (
    clients_file,
    exposed_secrets,
    load_scheduler_settings,
    load_server_settings,
    load_worker_settings,
)
from sccachedist.config.limits import ConnectionLimits, SchedulerLimits, ServerLimits, WorkerLimits
from sccachedist.config.operation import (
    LogFormat,
    LogSettings,
    MetricsSettings,
    MonitorSettings,
    RecordFileSettings,
    RecordSettings,
    SchedulerMetricsSettings,
    ServerNetworkSettings,
    ShutdownSettings,
)
from sccachedist.config.published import (
    BuilderSettings,
    ClientAuthSettings,
    DockerBuilderSettings,
    InsecureAuth,
    JwtHs256,
    JwtToken,
    JwtValidate,
    OverlayBuilderSettings,
    OwnToken,
    PotBuilderSettings,
    ProxyToken,
    RemoteBuilderSettings,
    RevokedServer,
    SchedulerAuthSettings,
    ServerAuthSettings,
    ServersTokenAuth,
    TokenAuth,
)
from sccachedist.config.settings import (
    CapacitySettings,
    DockerSettings,
    JwtSettings,
    NetworkSettings,
    PolicySettings,
    QueueSettings,
    RewrittenSettings,
    SandboxSettings,
    SchedulerPolicySettings,
    SchedulerSettings,
    ServerSettings,
    TlsSettings,
)
from sccachedist.config.toolchains import ToolchainsSettings
from sccachedist.config.viewing import AdminSettings, NamesFor, PersonSettings, ViewFor, WebSettings
from sccachedist.config.worker import DialledSettings, WorkerSettings

#: Of a role whose host runs compiles.
HostSettings: TypeAlias = ServerSettings | WorkerSettings

__all__ = [
    "AdminSettings",
    "BuilderSettings",
    "CapacitySettings",
    "ClientAuthSettings",
    "ClientClass",
    "ClientSettings",
    "ClientsSettings",
    "ClusterSettings",
    "ConnectionLimits",
    "DialledSettings",
    "DockerBuilderSettings",
    "DockerSettings",
    "HostSettings",
    "InsecureAuth",
    "JwtHs256",
    "JwtSettings",
    "JwtToken",
    "JwtValidate",
    "LogFormat",
    "LogSettings",
    "MetricsSettings",
    "MonitorSettings",
    "NamesFor",
    "NetworkSettings",
    "OverlayBuilderSettings",
    "OwnToken",
    "PersonSettings",
    "PolicySettings",
    "PotBuilderSettings",
    "ProxyToken",
    "QueueSettings",
    "RecordFileSettings",
    "RecordSettings",
    "RemoteBuilderSettings",
    "RevokedServer",
    "RewrittenSettings",
    "SandboxSettings",
    "SchedulerAuthSettings",
    "SchedulerLimits",
    "SchedulerMetricsSettings",
    "SchedulerPolicySettings",
    "SchedulerSettings",
    "ServerAuthSettings",
    "ServerLimits",
    "ServerNetworkSettings",
    "ServerSettings",
    "ServersTokenAuth",
    "ShutdownSettings",
    "TlsSettings",
    "TokenAuth",
    "TokenSettings",
    "ToolchainsSettings",
    "ViewFor",
    "WebSettings",
    "WorkerLimits",
    "WorkerSettings",
    "clients_file",
    "exposed_secrets",
    "load_scheduler_settings",
    "load_server_settings",
    "load_worker_settings",
]
