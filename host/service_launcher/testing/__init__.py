"""What a plugin's author tests with: `pytest_plugins = ["service_launcher.testing"]` in conftest.py turns it on.

A class that inherits from `PluginContract` and names its entry point gets every check of the contract. The fixtures are
for the tests that are the plugin's own.
"""

from service_launcher.testing.contract import PluginContract
from service_launcher.testing.fixtures import (
    compose_project,
    docker_engine,
    fake_clock,
    private_manifest,
    pytest_addoption,
    stand_in,
    temporary_installation,
)
from service_launcher.testing.installation import TemporaryInstallation
from service_launcher.testing.projects import ThrowAwayProject
from service_launcher.testing.stand_in import Behaviour, StandIn

__all__ = [
    "Behaviour",
    "PluginContract",
    "StandIn",
    "TemporaryInstallation",
    "ThrowAwayProject",
    "compose_project",
    "docker_engine",
    "fake_clock",
    "private_manifest",
    "pytest_addoption",
    "stand_in",
    "temporary_installation",
]
