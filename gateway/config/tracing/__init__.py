"""The settings of the section `tracing`."""
