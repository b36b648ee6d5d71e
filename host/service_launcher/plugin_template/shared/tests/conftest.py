pytest_plugins = ["service_launcher.testing"]
