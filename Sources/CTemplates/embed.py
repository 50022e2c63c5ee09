"""Writes templates.c: every file of kit/, of include/, and of DriverKit, which Swift drivers build on. Run it when a file is added or taken away."""
import os
import re

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
here = os.path.join(root, "Sources", "CTemplates")
renamed = {"driver.json": "{{name}}.driver.json", "gitignore": ".gitignore"}


def files(folder):
    """Paths below a folder, from it, sorted; without what builds leave behind."""
    found = []
    for base, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in ("target", "build", ".build")]
        found += [os.path.relpath(os.path.join(base, name), folder) for name in names if not name.endswith((".o", ".so"))]
    return sorted(found)


def rows():
    """(language, path in the new folder, path from templates.c)."""
    for name in files(f"{root}/include"):
        yield "", f"include/{name}", f"../../include/{name}"
    for name in files(f"{here}/kit/common"):
        yield "", renamed.get(name, name), f"kit/common/{name}"
    for language in ("c", "cpp", "rust", "swift"):
        for name in files(f"{here}/kit/{language}"):
            yield language, name, f"kit/{language}/{name}"
    for language in ("cpp", "rust", "swift"):
        yield language, "test.c", "kit/c/test.c"
    for name in files(f"{root}/Sources/DriverKit"):
        if name.endswith(".swift") and not name.startswith("DeviceModel/"):
            yield "swift", f"DriverKit/{name}", f"../DriverKit/{name}"


def identifier(language, path):
    return re.sub("[^a-z0-9]", "_", f"{language}_{path}".lower())


def main():
    all_rows = list(rows())
    text = "// Written by embed.py: every file that `baton driver new` can write. A test sees that none is missing.\n"
    text += '#include "CTemplates.h"\n\n#pragma clang diagnostic ignored "-Wc23-extensions"\n\n'
    for language, path, source in all_rows:
        text += f'static const uint8_t {identifier(language, path)}[] = {{\n#embed "{source}"\n}};\n'
    text += "\n#define ENTRY(language, path, bytes) {language, path, bytes, sizeof bytes}\n\nstatic const ctemplates_file files[] = {\n"
    for language, path, _ in all_rows:
        text += f'    ENTRY("{language}", "{path}", {identifier(language, path)}),\n'
    text += "};\n\nuint32_t ctemplates_count(void) { return sizeof files / sizeof *files; }\n"
    text += "const ctemplates_file *ctemplates_at(uint32_t index) { return &files[index]; }\n"
    with open(f"{here}/templates.c", "w") as out:
        out.write(text)


main()
