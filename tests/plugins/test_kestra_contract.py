"""Kestra's own plugin keeps the contract that it asks of others; on the stand-in."""

from __future__ import annotations

import shutil

import pytest
from service_launcher.testing import PluginContract, TemporaryInstallation

from tests.conftest import CHECKOUT

pytestmark = pytest.mark.docker


@pytest.mark.usefixtures("own_engine")
class TestKestra(PluginContract):
    """The three lines of an author, and why this plugin may have the Docker socket."""

    entry_point = "kestra"
    settings = {  # noqa: RUF012 - as an author would write it
        "KESTRA_IMAGE": "local/kestra-rehearsal:1",
        "KESTRA_POSTGRES_IMAGE": "local/postgres:17",
    }
    accepted_privileges = ("Docker socket",)  # tasks in containers; KESTRA_PRIVILEGES=hardened goes without

    @pytest.fixture
    def temporary_installation(self, temporary_installation: TemporaryInstallation) -> TemporaryInstallation:
        """With the compose files of the checkout, which an editable install has not beside its modules."""
        shutil.copytree(CHECKOUT / "tools/compose", temporary_installation.root / "tools/compose", symlinks=True)
        return temporary_installation
