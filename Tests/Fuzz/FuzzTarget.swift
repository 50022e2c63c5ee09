import Driver
import FoundationEssentials
import Model
import Pipeline

/// Code that takes bytes from outside. Each target must end, whatever it is given, with a value or with a typed error of one line.
public enum FuzzTarget: String, CaseIterable, Sendable {
    case gguf, manifest, driverManifest = "driver-manifest", elf, attestation, child

    /// Gives `bytes` to the target; traps where what comes back breaks a promise.
    public func run(_ bytes: [UInt8]) {
        switch self {
        case .gguf: Self.gguf(bytes)
        case .manifest: Self.manifest(bytes)
        case .driverManifest: Self.driverManifest(bytes)
        case .elf: Self.elf(bytes)
        case .attestation: Self.attestation(bytes)
        case .child: Self.child(bytes)
        }
    }

    /// An error's words are one line, and not a page.
    private static func check(_ words: String) {
        precondition(!words.isEmpty && !words.contains(where: \.isNewline) && words.utf8.count < 16_384, "an error is not one short line: \(words.prefix(400))")
    }

    private static func gguf(_ bytes: [UInt8]) {
        do throws(ModelError) {
            let file = try GGUFFile(bytes: bytes, name: "f.gguf")
            for key in file.keys { try touch(file, key) }
            for tensor in file.tensors { file.withBytes(of: tensor) { precondition($0.count == tensor.byteCount, "a tensor lies outside its file") } }
            _ = try ModelFile(file: file)
        } catch { check(error.description) }
    }

    /// Every way to read a key; a wrong one is an error and nothing else.
    private static func touch(_ file: GGUFFile, _ key: String) throws(ModelError) {
        _ = try? file.string(key)
        _ = try? file.uint(key)
        _ = try? file.float(key)
        _ = try? file.bool(key)
        guard let count = try? file.count(key), count < 1 << 20 else { return }
        _ = try? file.byteStrings(key)
        _ = try? file.int32s(key)
        _ = try? file.floats(key)
    }

    private static func manifest(_ bytes: [UInt8]) {
        do throws(ManifestError) { _ = try Graph(proving: try Manifest(bytes: bytes, file: "f.yaml")) } catch { check(error.description) }
    }

    private static func driverManifest(_ bytes: [UInt8]) {
        do throws(DriverError) { _ = try DriverManifest(data: Data(bytes), path: "/f/f.driver.json") } catch { check(error.description) }
    }

    private static func elf(_ bytes: [UInt8]) {
        do throws(ELFError) {
            let file = try ELFFile(bytes)
            _ = DriverNote.linkerBuildID(file)
            if let note = try DriverNote(file) { precondition(note.abi.minimum <= note.abi.maximum && !note.name.isEmpty, "a note was believed that says nothing") }
        } catch { check(error.words) }
    }

    private static func attestation(_ bytes: [UInt8]) {
        do throws(DriverError) {
            let value = try CanonicalJSON(parsing: bytes, of: "f.json")
            let again = try CanonicalJSON(parsing: Array(value.text.utf8), of: "f.json")
            precondition(again == value && again.text == value.text, "the canonical form is not canonical")
            _ = try Attestation(reading: value, of: "f.json")
        } catch { check(error.description) }
    }

    /// A frame of the protocol between host and child, in either direction; the first byte says what it is read as.
    private static func child(_ bytes: [UInt8]) {
        guard let first = bytes.first, let frame = WireFrame(rawValue: first % UInt8(WireFrame.allCases.count)) else { return }
        do throws(WireError) { try frame.read(Array(bytes.dropFirst())) } catch { check(error.description) }
    }
}

/// libFuzzer's door: `make fuzz` links this file's module with it. BATON_FUZZ_TARGET names the target.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    chosen.run(Array(UnsafeBufferPointer(start: data, count: count)))
    return 0
}

private let chosen = FuzzTarget(rawValue: ProcessInfo.processInfo.environment["BATON_FUZZ_TARGET"] ?? "") ?? .gguf
