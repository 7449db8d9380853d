"""`gateway verify`, `reindex` and `gc`: keep the storage of published files in order."""
