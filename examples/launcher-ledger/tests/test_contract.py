from service_launcher.testing import PluginContract


class TestContract(PluginContract):
    entry_point = "ledger"
    settings = {"KESTRA_IMAGE": "local/kestra-rehearsal:1", "KESTRA_POSTGRES_IMAGE": "local/postgres:17"}
