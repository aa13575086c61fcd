"""The engine: drives pipeline runs. It feeds events to the scheduler, performs its commands, and alone writes rows."""
