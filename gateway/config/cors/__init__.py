"""The settings of the section `cors`."""
