"""The settings of the section `publish`."""
