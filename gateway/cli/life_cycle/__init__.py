"""`gateway yank`, `unyank` and `delete`: what becomes of a release after it was published."""
