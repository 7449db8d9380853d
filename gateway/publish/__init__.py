"""Publishing: the form of an upload, the rules that a release file has to keep, and the path by which it is seen."""
