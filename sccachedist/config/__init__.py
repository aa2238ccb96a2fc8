"""Configuration: a file becomes frozen settings, or an error that names the key.

``settings`` has every key, ``schema`` the way they are declared and read. Neither knows Twisted, nor what
the roles make of a setting.
"""

from sccachedist.config.files import exposed_secrets, load_scheduler_settings, load_server_settings
from sccachedist.config.published import (
    BuilderSettings,
    ClientAuthSettings,
    DockerBuilder,
    InsecureAuth,
    JwtHs256,
    JwtToken,
    JwtValidate,
    OverlayBuilder,
    PotBuilder,
    ProxyToken,
    SchedulerAuthSettings,
    ServerAuthSettings,
    TokenAuth,
)
from sccachedist.config.settings import (
    DockerSettings,
    JwtSettings,
    Limits,
    NetworkSettings,
    PolicySettings,
    QueueSettings,
    SandboxSettings,
    SchedulerSettings,
    ServerSettings,
    ShutdownSettings,
    TlsSettings,
)

__all__ = [
    "BuilderSettings",
    "ClientAuthSettings",
    "DockerBuilder",
    "DockerSettings",
    "InsecureAuth",
    "JwtHs256",
    "JwtSettings",
    "JwtToken",
    "JwtValidate",
    "Limits",
    "NetworkSettings",
    "OverlayBuilder",
    "PolicySettings",
    "PotBuilder",
    "ProxyToken",
    "QueueSettings",
    "SandboxSettings",
    "SchedulerAuthSettings",
    "SchedulerSettings",
    "ServerAuthSettings",
    "ServerSettings",
    "ShutdownSettings",
    "TlsSettings",
    "TokenAuth",
    "exposed_secrets",
    "load_scheduler_settings",
    "load_server_settings",
]
