"""Configuration: a file becomes frozen settings, or an error that names the key.

``settings`` has every key; ``schema`` has the way in which keys are declared and read. Neither knows Twisted, nor how
the roles use a setting.
"""

from sccachedist.config.files import exposed_secrets, load_scheduler_settings, load_server_settings
from sccachedist.config.operation import LogFormat, LogSettings, RecordSettings, ServerNetworkSettings
from sccachedist.config.published import (
    BuilderSettings,
    ClientAuthSettings,
    DockerBuilderSettings,
    InsecureAuth,
    JwtHs256,
    JwtToken,
    JwtValidate,
    OverlayBuilderSettings,
    PotBuilderSettings,
    ProxyToken,
    SchedulerAuthSettings,
    ServerAuthSettings,
    TokenAuth,
)
from sccachedist.config.settings import (
    ConnectionLimits,
    DockerSettings,
    JwtSettings,
    NetworkSettings,
    PolicySettings,
    QueueSettings,
    SandboxSettings,
    SchedulerLimits,
    SchedulerSettings,
    ServerLimits,
    ServerSettings,
    ShutdownSettings,
    TlsSettings,
)

__all__ = [
    "BuilderSettings",
    "ClientAuthSettings",
    "ConnectionLimits",
    "DockerBuilderSettings",
    "DockerSettings",
    "InsecureAuth",
    "JwtHs256",
    "JwtSettings",
    "JwtToken",
    "JwtValidate",
    "LogFormat",
    "LogSettings",
    "NetworkSettings",
    "OverlayBuilderSettings",
    "PolicySettings",
    "PotBuilderSettings",
    "ProxyToken",
    "QueueSettings",
    "RecordSettings",
    "SandboxSettings",
    "SchedulerAuthSettings",
    "SchedulerLimits",
    "SchedulerSettings",
    "ServerAuthSettings",
    "ServerLimits",
    "ServerNetworkSettings",
    "ServerSettings",
    "ShutdownSettings",
    "TlsSettings",
    "TokenAuth",
    "exposed_secrets",
    "load_scheduler_settings",
    "load_server_settings",
]
