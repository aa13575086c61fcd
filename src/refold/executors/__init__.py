"""Executors: where block runs are executed. One port, `refold.ports.executor`, and its adapters."""
