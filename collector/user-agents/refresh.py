#!/usr/bin/env python3
"""Fetches the newest uap-core regexes and the newest list of crawlers, in the form that
`user_agents.regexes` and `user_agents.crawlers` read. Writes them into the folder given as the first
argument, without one into this folder, which the build embeds. Needs pip and npm."""

import ast
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

RULES = {
    "UserAgentMatcher": (
        "user_agent_parsers",
        ["regex", "family_replacement"] + [f"v{n}_replacement" for n in range(1, 5)],
    ),
    "OSMatcher": (
        "os_parsers",
        ["regex", "os_replacement"] + [f"os_v{n}_replacement" for n in range(1, 5)],
    ),
    "DeviceMatcher": (
        "device_parsers",
        ["regex", "regex_flag", "device_replacement", "brand_replacement", "model_replacement"],
    ),
}


def newest(folder, command, pattern):
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return next(pathlib.Path(folder).glob(pattern))


def regexes(folder):
    """The Python tables, read as syntax and never run, become uap-core's own form."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "ua-parser-builtins"]
    wheel = newest(folder, command, "*.whl")
    with zipfile.ZipFile(wheel) as files:
        tables = ast.parse(files.read("ua_parser_builtins/matchers.py"))
        revision = files.read("REVISION").decode().strip()
    lists = {name: [] for name, _ in RULES.values()}
    for node in ast.walk(tables):
        if isinstance(node, ast.Call):
            name, members = RULES[node.func.id]
            values = [ast.literal_eval(value) for value in node.args]
            assert not node.keywords and len(values) <= len(members), ast.dump(node)
            rule = {member: value for member, value in zip(members, values) if value is not None}
            lists[name].append(rule)
    version = wheel.name.split("-")[1]
    return lists, f"uap-core {revision}, of https://pypi.org/project/ua-parser-builtins/{version}/"


def crawlers(folder):
    package = newest(folder, ["npm", "pack", "--silent", "crawler-user-agents"], "*.tgz")
    with tarfile.open(package) as files:
        read = lambda name: json.load(files.extractfile(f"package/{name}"))
        version = read("package.json")["version"]
        entries = read("crawler-user-agents.json")
    kept = [{"pattern": entry["pattern"], "tags": entry.get("tags", [])} for entry in entries]
    page = f"https://www.npmjs.com/package/crawler-user-agents/v/{version}"
    return kept, f"crawler-user-agents {version}, of {page}"


def lines(entries):
    return ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)


def main():
    out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
    with tempfile.TemporaryDirectory() as folder:
        lists, of_regexes = regexes(folder)
        list_of_crawlers, of_crawlers = crawlers(folder)
    body = ",\n".join(f'"{name}": [\n{lines(rules)}\n]' for name, rules in lists.items())
    (out / "regexes.json").write_text(f"{{\n{body}\n}}\n")
    (out / "crawlers.json").write_text(f"[\n{lines(list_of_crawlers)}\n]\n")
    (out / "VERSIONS").write_text(f"{of_regexes}\n{of_crawlers}\n")
    print(f"{of_regexes}\n{of_crawlers}\nwritten to {out}")


main()
