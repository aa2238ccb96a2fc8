"""The worker: sandboxes and toolchains of a build server without a port, which asks gateways for jobs."""
