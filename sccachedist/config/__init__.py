"""Configuration: a file becomes frozen settings, or an error that names the key.

``settings`` has every key, ``schema`` the way they are declared and read. Neither knows Twisted, nor what
the roles make of a setting.
"""

from sccachedist.config.files import exposed_secrets, load_scheduler_settings, load_server_settings
from sccachedist.config.settings import (
    BuilderSettings,
    ClientAuthSettings,
    DockerBuilder,
    DockerSettings,
    InsecureAuth,
    JwtHs256,
    JwtSettings,
    JwtToken,
    JwtValidate,
    Limits,
    NetworkSettings,
    OverlayBuilder,
    PolicySettings,
    PotBuilder,
    ProxyToken,
    QueueSettings,
    SandboxSettings,
    SchedulerAuthSettings,
    SchedulerSettings,
    ServerAuthSettings,
    ServerSettings,
    ShutdownSettings,
    TlsSettings,
    TokenAuth,
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
