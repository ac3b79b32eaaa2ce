"""Records of runs and campaigns that say something else than they did."""

import tomlkit


def changed(record, *keys, to):
    """Change the value at `keys`, one inside the other, of a record; return the record."""
    inner = record
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = to
    return record


def change(path, *keys, to):
    """Change the value at `keys` of a TOML file."""
    path.write_text(tomlkit.dumps(changed(tomlkit.parse(path.read_text()), *keys, to=to)))
