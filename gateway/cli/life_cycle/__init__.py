"""`gateway yank`, `unyank`, `delete` and `status`: what becomes of projects and releases after they were published."""
