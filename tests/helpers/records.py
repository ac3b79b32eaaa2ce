"""Changes of records of runs and campaigns."""

import tomlkit


def changed(record, *keys, to):
    """Change the value at nested `keys` of a record; return the record."""
    inner = record
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    return record


def change(path, *keys, to):
    """Change the value at nested `keys` of a TOML file."""
    path.write_text(tomlkit.dumps(changed(tomlkit.parse(path.read_text()), *keys, to=to)))
