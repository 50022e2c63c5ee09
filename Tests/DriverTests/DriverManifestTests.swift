import BuildKit
import Glibc
import Testing

@testable import Driver

/// `<name>.driver.json`, with libraries that would load if it let them.
@Suite("Driver manifest", .needsCompiler)
struct DriverManifestTests {
    let folder: TemporaryFolder
    let library: String

    init() throws {
        folder = try TemporaryFolder()
        library = try SharedLibrary.driver("old", in: folder)
    }

    private func load(_ text: String, named file: String = "old.driver.json", as name: String = "old") throws -> DriverLibrary {
        try folder.write(text, to: file)
        return try Catalogs.make(folders: [folder.path]).load(name)
    }

    private func refusal(_ text: String, as name: String = "old") throws -> DriverError {
        try #require(throws: DriverError.self) { try load(text, as: name) }
    }

    /// The digest of the library, from the report of a catalog that loaded it.
    private func digest() throws -> String {
        let catalog = Catalogs.make()
        _ = try catalog.load(library)
        return try #require(catalog.report.candidates.first?.sha256)
    }

    @Test("a file that is no manifest is refused at once: a folder, a pipe nobody writes to, a device without end")
    func noFile() throws {
        let pipe = folder.file("pipe.driver.json")
        #expect(mkfifo(pipe, 0o600) == 0)
        for (path, words) in [(folder.path, "Is a directory"), (pipe, "is not valid JSON"), ("/dev/zero", "is longer than")] {
            let error = #expect(throws: DriverError.self) { try DriverManifest(reading: path) }
            #expect(error?.detail.contains(words) == true)
        }
    }

    @Test("a relative library is beside its manifest, and an absolute one is where it says")
    func libraryPath() throws {
        #expect(try load(#"{"name": "old", "library": "libbaton-old.so"}"#).path == library)
        let other = try TemporaryFolder()
        let manifest = try other.write(#"{"name": "old", "library": "\#(library)", "devices": ["skew-1"]}"#, to: "x.driver.json")
        #expect(try DriverManifest(reading: manifest).devices == ["skew-1"])
        #expect(try Catalogs.make(folders: [other.path]).load("old").path == library)
        #expect(try Catalogs.make().load(manifest).path == library)
    }

    @Test("the right sha256 loads, in either case of letters")
    func rightDigest() throws {
        let digest = try digest()
        #expect(try load(#"{"name": "old", "library": "libbaton-old.so", "sha256": "\#(digest)"}"#).name == "old")
        #expect(try load(#"{"name": "old", "library": "libbaton-old.so", "sha256": "\#(digest.uppercased())"}"#).name == "old")
    }

    @Test("a wrong sha256 is refused before any code of the driver runs")
    func wrongDigest() throws {
        let wrong = String(repeating: "0", count: 64)
        let error = try refusal(#"{"name": "old", "library": "libbaton-old.so", "sha256": "\#(wrong)"}"#)
        #expect(error.code == .dataLoss)
        #expect(error.detail.contains(wrong) && error.detail.contains("nothing was loaded"))
        #expect(try !Tool.read("/proc/self/maps").contains(library))
    }

    @Test("a range that does not meet the host's is refused before loading, with both")
    func otherRange() throws {
        let error = try refusal(#"{"name": "old", "library": "libbaton-old.so", "abi": {"min": "2.0", "max": "2.3"}}"#)
        #expect(error.code == .failedPrecondition)
        #expect(error.detail.contains("2.0..2.3") && error.detail.contains("\(ABIRange.host)") && error.detail.contains("nothing was loaded"))
        #expect(try !Tool.read("/proc/self/maps").contains(library))
    }

    @Test("a manifest and a library that call the driver differently are refused with both names")
    func nameMismatch() throws {
        let error = try refusal(#"{"name": "young", "library": "libbaton-old.so"}"#, as: "young")
        #expect(error.code == .failedPrecondition && error.detail.contains("'young'") && error.detail.contains("'old'"))
    }

    @Test("a library that is not there is refused by path", arguments: ["", #", "sha256": "\#(String(repeating: "a", count: 64))""#])
    func missingLibrary(pin: String) throws {
        let error = try refusal(#"{"name": "old", "library": "libgone.so"\#(pin)}"#)
        #expect(error.description.contains(folder.file("libgone.so")))
    }

    @Test("what is wrong with a manifest is said in one line", arguments: [
        (#"{"name": "old", "library": "l.so", "lirbary": "x"}"#, "unknown key 'lirbary'; the keys are abi, capabilities, devices, library, name, sha256, signature"),
        (#"{"name": "old", "library": "l.so""#, "is not valid JSON"),
        ("", "is not valid JSON"),
        ("\u{0}\u{1}", "is not valid JSON"),
        (String(repeating: "[", count: 100_000), "JSON"),
        ("[]", "wrong type"),
        (#"{"library": "l.so"}"#, "the key 'name' is missing"),
        (#"{"name": "old"}"#, "the key 'library' is missing"),
        (#"{"name": 4, "library": "l.so"}"#, "'name' has the wrong type"),
        (#"{"name": "", "library": "l.so"}"#, "not a driver's name"),
        (#"{"name": "../old", "library": "l.so"}"#, "not a driver's name"),
        (#"{"name": "old", "library": ""}"#, "library is empty"),
        (#"{"name": "old", "library": "l.so", "abi": {"min": "1", "max": "1.0"}}"#, "is not a range"),
        (#"{"name": "old", "library": "l.so", "abi": {"min": "1.4", "max": "1.0"}}"#, "is not a range"),
        (#"{"name": "old", "library": "l.so", "abi": {"min": "-1.0", "max": "1.0"}}"#, "is not a range"),
        (#"{"name": "old", "library": "l.so", "sha256": "abc"}"#, "64 hexadecimal digits"),
        (#"{"name": "o\nld", "library": "l.so"}"#, "not a driver's name"),
        (#"{"name": "old", "library": "l.so", "capabilities": ["a,b"]}"#, "not the id of an interface"),
        (#"{"name": "old", "library": "l.so", "signature": "x"}"#, "'signature' has the wrong type"),
        (#"{"name": "old", "library": "l.so", "pad": ""# + String(repeating: " ", count: 1 << 20) + #""}"#, "is longer than the 1048576 bytes"),
    ])
    func malformed(text: String, words: String) throws {
        let path = try folder.write(text, to: "bad.driver.json")
        let error = try #require(throws: DriverError.self) { try DriverManifest(reading: path) }
        #expect(error.code == .invalidArgument && error.driver == path)
        #expect(error.detail.contains(words), "\(error.detail)")
        #expect(!error.description.contains("\n"))
        let candidate = DriverSearch(folders: [folder.path]).report(hostABI: .host).candidates.first { $0.manifest == path }
        #expect(candidate?.decision == .refused && candidate?.error == error.description)
    }
}
