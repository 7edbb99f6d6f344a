"""What packages import that add modules: the protocol, under the one name that an installation owns."""

from provisioning.protocol import Account, Call, Module, ModuleError, Server

__all__ = ["Account", "Call", "Module", "ModuleError", "Server"]
