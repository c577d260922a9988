"""Who may include whom: the table of docs/architecture.md against every #include, and LibTorch where it must not be.

Run by ctest, one entry a class. FEDMETA_SOURCE_DIR, FEDMETA_BUILD_DIR and FEDMETA_NINJA say where to look.
"""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["FEDMETA_SOURCE_DIR"])
BUILD = pathlib.Path(os.environ["FEDMETA_BUILD_DIR"])
NINJA = os.environ["FEDMETA_NINJA"]

# Names of the table and the headers they stand for. Of headers with a folder only these are known.
LIBRARIES = {
    "protobuf": r"google/protobuf/",
    "OpenSSL": r"openssl/",
    "yaml-cpp": r"yaml-cpp/",
    "nlohmann_json": r"nlohmann/",
    "CLI11": r"CLI/",
    "LibTorch": r"(ATen|c10|caffe2|torch)/",
    "gRPC": r"(grpc|grpcpp)/",
    "Boost": r"boost/",
    "zlib": r"(zlib|zconf)\.h$",
    "SQLite": r"sqlite3\.h$",
}
SYSTEM_FOLDERS = r"(sys|arpa|net|netinet|linux)/"
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
TORCH_PATH = re.compile(r"/(ATen|c10|caffe2|torch)/|cmake_pch\.hxx")
TORCH_FREE_TARGETS = [
    "fedmeta_core", "fedmeta_proto", "fedmeta_protocol", "fedmeta_configs", "fedmeta_identity", "fedmeta_privacy",
    "fedmeta_records", "fedmeta_algorithms_server", "fedmeta_transport", "fedmeta_coordinator", "fedmeta_client_data",
    "fedmeta_cli_base", "fedmeta_coordinator_command", "fedmeta", "fedmeta-coordinator",
]
TORCH_FREE_PROGRAMS = ["fedmeta", "fedmeta-coordinator"]


def read_table(document):
    """{room: (allowed everywhere, allowed behind its public headers)} of the code block whose lines are "room -> names; names"."""
    table = {}
    for room, everywhere, sources in re.findall(r"^([\w/]+) +-> ([^;\n]*)(?:;([^\n]*))?$", document, re.MULTILINE):
        everywhere, sources = ({name.strip() for name in names.split(",")} - {""} for names in (everywhere, sources))
        table[room] = (everywhere, everywhere | sources)
    return table


def cycle_in(table):
    """A room that can reach itself through the table, or None."""
    for start in table:
        seen, waiting = set(), [start]
        while waiting:
            for name in table[waiting.pop()][1] & table.keys() - seen:
                if name == start:
                    return start
                seen.add(name)
                waiting.append(name)
    return None


def room_of(path, rooms):
    """The innermost room that holds a path, or None."""
    return max((room for room in rooms if path.startswith(room + "/")), key=len, default=None)


def name_of_include(bracket, header, rooms):
    """What a header is called in the table; None: open to all; "?...": nothing that the table knows."""
    if bracket == '"':
        if not header.startswith("fedmeta/"):
            return '?not of the form "fedmeta/ROOM/file.h"'
        path = header.removeprefix("fedmeta/")
        if path.startswith("v1/"):
            return "proto"
        if path.endswith("/registry.inc"):
            return "registry.inc"
        return room_of(path, rooms) or "?no room of the table"
    for library, pattern in LIBRARIES.items():
        if re.match(pattern, header):
            return library
    if "/" in header and not re.match(SYSTEM_FOLDERS, header):
        return "?no library of the table"
    return None


def source_files(root):
    """All C++ files of a tree but those of its build folders."""
    for top in sorted(root.iterdir()):
        if top.is_dir() and top.name not in ("build", ".git"):
            yield from sorted(path for path in top.rglob("*") if path.suffix in (".h", ".cc", ".inc"))


def public_headers(root, room):
    """The headers of a room that its CMakeLists.txt lists; others are internal to the room."""
    lists = root / room / "CMakeLists.txt"
    listed = re.search(r"\bHEADERS\s([^)]*?)(?=\s[A-Z_]+\s|\))", lists.read_text()) if lists.exists() else None
    return set(listed[1].split()) if listed else set()


def violations(root, table):
    """One line for each include in a room that the table does not allow, or of another room's internal header."""
    public = {room: public_headers(root, room) for room in table}
    found = []
    for path in source_files(root):
        relative = path.relative_to(root).as_posix()
        room = room_of(relative, table)
        if room is None:
            continue
        allowed = table[room][relative.removeprefix(room + "/") not in public[room]]
        for bracket, header in INCLUDE.findall(path.read_text()):
            name = name_of_include(bracket, header, table)
            if name is None or name == room or header == f"fedmeta/{room}/registry.inc":
                continue
            if name not in allowed:
                found.append(f"{relative}: {header}: " + (name[1:] if name[0] == "?" else f"{room} may not include {name}"))
            elif name in public and header.removeprefix(f"fedmeta/{name}/") not in public[name] and name != "proto":
                found.append(f"{relative}: {header}: internal to {name}")
    return found


def sources_with_torch_header(root):
    """Files anywhere in the tree that include <torch/torch.h>."""
    return [path.relative_to(root).as_posix() for path in source_files(root)
            if "torch/torch.h" in {header for _, header in INCLUDE.findall(path.read_text())}]


def torch_dependencies(deps, targets):
    """({target: number of its objects}, [object: torch path]) of the text that `ninja -t deps` prints."""
    counts, found = dict.fromkeys(targets, 0), []
    target = item = None
    for line in deps.splitlines():
        if line.startswith(" "):
            if target in counts and TORCH_PATH.search(line):
                found.append(f"{item}: {line.strip()}")
        elif line:
            item = line.split(":")[0]
            match = re.search(r"CMakeFiles/([^/]+)\.dir/", item)
            target = match and match[1]
            if target in counts:
                counts[target] += 1
    return counts, found


class IncludeDirections(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.table = read_table((SOURCE / "docs/architecture.md").read_text())

    def test_1_planted_violations_are_found(self):
        planted = {
            "core/a.h": ('#include <openssl/evp.h>', "core may not include OpenSSL"),
            "core/b.cc": ('#include "fedmeta/protocol/limits.h"', "core may not include protocol"),
            "core/c.cc": ('  #  include  <nlohmann/json.hpp>', "core may not include nlohmann_json"),
            "client/data/d.cc": ('#include "fedmeta/client/trainer.h"', "client/data may not include client"),
            "privacy/e.cc": ('#include <ATen/ATen.h>', "privacy may not include LibTorch"),
            "records/f.h": ('#include <nlohmann/json.hpp>', "records may not include nlohmann_json"),
            "records/g.cc": ('#include "fedmeta/configs/registry.inc"', "records may not include registry.inc"),
            "coordinator/h.cc": ('#include "round_engine.h"', 'not of the form "fedmeta/ROOM/file.h"'),
            "coordinator/i.cc": ('#include "fedmeta/tests/core/x.h"', "no room of the table"),
            "simulator/j.cc": ('#include <CLI/CLI.hpp>', "simulator may not include CLI11"),
            "cli/k.cc": ('#include <fmt/core.h>', "no library of the table"),
            "protocol/q.cc": ('#include "fedmeta/core/internal.h"', "internal to core"),
        }
        allowed = {
            "core/CMakeLists.txt": "fedmeta_room(core\n  HEADERS a.h z.h\n  SOURCES b.cc)",
            "records/CMakeLists.txt": "fedmeta_room(records HEADERS f.h)",
            "core/internal.h": "#include <openssl/evp.h>",
            "protocol/r.cc": '#include "fedmeta/core/z.h"',
            "core/l.cc": '#include <vector>\n#include <sys/stat.h>\n#include <openssl/evp.h>\n#include "fedmeta/core/a.h"',
            "configs/m.cc": '#include "fedmeta/algorithms/meta/registry.inc"\n#include "fedmeta/v1/round.pb.h"',
            "algorithms/server/n.cc": '#include "fedmeta/algorithms/server/registry.inc"',
            "tests/core/o.cc": '#include "fixture.h"',
        }
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in {**{name: text for name, (text, _) in planted.items()}, **allowed}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text + "\n")
            found = violations(root, self.table)
            self.assertEqual(len(found), len(planted), found)
            for name, (_, reason) in planted.items():
                self.assertTrue(any(line.startswith(name + ":") and line.endswith(reason) for line in found), (name, found))
            (root / "bench").mkdir()
            (root / "bench/p.cc").write_text("#include <torch/torch.h>\n")
            self.assertEqual(sources_with_torch_header(root), ["bench/p.cc"])

    def test_2_a_planted_cycle_is_found(self):
        self.assertEqual(cycle_in(read_table("a -> b\nb -> c; zlib\nc -> ; a\n")), "a")

    def test_3_the_table_names_every_room_and_only_what_is_known(self):
        rooms = {path.parent.relative_to(SOURCE).as_posix() for path in SOURCE.glob("*/CMakeLists.txt")}
        rooms |= {path.parent.relative_to(SOURCE).as_posix() for path in SOURCE.glob("*/*/CMakeLists.txt")}
        rooms = {room for room in rooms if room.split("/")[0] not in ("tests", "bench", "build", "examples")}
        self.assertEqual(set(self.table), rooms - {"algorithms"})
        known = set(self.table) | set(LIBRARIES) | {"registry.inc"}
        for room, (_, names) in self.table.items():
            self.assertLessEqual(names, known, room)

    def test_4_the_table_has_no_cycle(self):
        self.assertIsNone(cycle_in(self.table))

    def test_5_every_include_is_allowed(self):
        found = violations(SOURCE, self.table)
        self.assertFalse(found, "\n" + "\n".join(found))

    def test_6_no_file_includes_the_whole_of_libtorch(self):
        self.assertEqual(sources_with_torch_header(SOURCE), [])


class TorchFreeObjects(unittest.TestCase):
    def test_1_a_planted_dependency_is_found(self):
        deps = ("core/CMakeFiles/fedmeta_core.dir/a.cc.o: #deps 2, deps mtime 1 (VALID)\n"
                "    /usr/include/c++/12/vector\n    /usr/include/ATen/ATen.h\n\n"
                "client/CMakeFiles/fedmeta_client.dir/b.cc.o: #deps 1, deps mtime 1 (VALID)\n    /usr/include/ATen/ATen.h\n")
        counts, found = torch_dependencies(deps, ["fedmeta_core", "fedmeta_proto"])
        self.assertEqual(counts, {"fedmeta_core": 1, "fedmeta_proto": 0})
        self.assertEqual(found, ["core/CMakeFiles/fedmeta_core.dir/a.cc.o: /usr/include/ATen/ATen.h"])

    def test_2_torch_free_targets_depend_on_no_torch_header(self):
        if "ninja" not in pathlib.Path(NINJA).name:
            self.skipTest("the build tool is not ninja")
        deps = subprocess.run([NINJA, "-C", BUILD, "-t", "deps"], capture_output=True, text=True, check=True).stdout
        counts, found = torch_dependencies(deps, TORCH_FREE_TARGETS)
        self.assertFalse(found, "\n" + "\n".join(found[:20]))
        missing = [target for target, count in counts.items() if count == 0]
        if missing:
            self.skipTest("not built: " + ", ".join(missing))


class TorchFreePrograms(unittest.TestCase):
    @staticmethod
    def loads_torch(program):
        result = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
        return re.search(r"lib(torch|c10|caffe2)", result.stdout) is not None

    def test_1_a_program_with_libtorch_is_recognised(self):
        learn = BUILD / "bin/fedmeta-learn"
        if not learn.exists():
            self.skipTest("not built: fedmeta-learn")
        self.assertTrue(self.loads_torch(learn))

    def test_2_the_front_and_the_coordinator_do_not_load_libtorch(self):
        missing = []
        for name in TORCH_FREE_PROGRAMS:
            program = BUILD / "bin" / name
            if not program.exists():
                missing.append(name)
            else:
                self.assertFalse(self.loads_torch(program), name)
        if missing:
            self.skipTest("not built: " + ", ".join(missing))


if __name__ == "__main__":
    unittest.main(verbosity=2)
