"""The settings of the section `access`."""
