from service_launcher.testing import PluginContract


class TestContract(PluginContract):
    entry_point = "courier"
