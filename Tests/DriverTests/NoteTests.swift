import BuildKit
import Glibc
import Testing

@testable import Driver

/// What is read of a library's file before any of its code runs.
@Suite("Notes", .needsCompiler)
struct NoteTests {
    let folder: TemporaryFolder
    let library: String
    let bytes: [UInt8]

    init() throws {
        folder = try TemporaryFolder()
        library = try SharedLibrary.build("Tests/Fixtures/drivers/old.c", name: "baton-old", in: folder, flags: ["-DBATON_BUILD=\"3f2a91c\""])
        bytes = try NoteTests.read(library)
    }

    static func read(_ path: String) throws -> [UInt8] {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes.prefix(count))
    }

    /// Writes a library and gives why it is refused; asserts that nothing was loaded and that it is one line.
    private func refusal(_ bytes: [UInt8]) throws -> DriverError {
        let path = folder.file("libbaton-changed.so")
        let file = try #require(fopen(path, "w"))
        #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
        fclose(file)
        let error = try #require(throws: DriverError.self) { try Catalogs.make().load(path) }
        #expect(try !Tool.read("/proc/self/maps").contains(path))
        #expect(!error.description.contains("\n") && error.driver == path && error.detail.contains("nothing was loaded"), "\(error)")
        return error
    }

    private func changed(_ at: Int, _ new: [UInt8]) -> [UInt8] {
        var bytes = bytes
        bytes.replaceSubrange(at..<(at + new.count), with: new)
        return bytes
    }

    @Test("the note gives range, name, version and build, and the linker its build id")
    func read() throws {
        let file = try ELFFile(bytes)
        let note = try #require(try DriverNote(file))
        #expect(note.abi == .of(1, 0...0) && note.name == "old" && note.version == "1.0.0" && note.build == "3f2a91c")
        let catalog = Catalogs.make()
        _ = try catalog.load(library)
        let candidate = try #require(catalog.report.candidates.first)
        #expect(candidate.note == note && candidate.buildID == "3f2a91c" && candidate.signature == "unsigned")
    }

    @Test("a library without a note is refused before any of its code runs, and told what to do")
    func withoutNote() throws {
        let path = try SharedLibrary.build("Tests/Fixtures/drivers/old.c", name: "baton-bare", in: folder, flags: ["-DWITHOUT_NOTE"])
        let error = try #require(throws: DriverError.self) { try Catalogs.make().load(path) }
        #expect(error.code == .failedPrecondition)
        #expect(error.detail.contains("no Baton note") && error.detail.contains("BATON_DRIVER_NOTE") && error.detail.contains("nothing was loaded"))
        #expect(try !Tool.read("/proc/self/maps").contains(path))
    }

    @Test("a library of contract 1.0, which has no note, loads where a driver manifest states its range and pins its hash")
    func manifestInPlaceOfNote() throws {
        let path = try SharedLibrary.build("Tests/Fixtures/drivers/old.c", name: "baton-bare", in: folder, flags: ["-DWITHOUT_NOTE"])
        let digest = try LibraryFile(opening: path).sha256
        let text = { (abi: String) in #"{"name": "old", "library": "\#(path)", "abi": {"min": "1.0", "max": "\#(abi)"}, "sha256": "\#(digest)"}"# }
        let honest = try folder.write(text("1.0"), to: "honest.driver.json")
        #expect(try Catalogs.make().load(honest).abi == ABIVersion(1, 0))
        let lying = try folder.write(text("1.5"), to: "lying.driver.json")
        let error = try #require(throws: DriverError.self) { try Catalogs.make().load(lying) }
        #expect(error.detail.contains("its manifest says ABI 1.0..1.5 and its entry ABI 1.0..1.0"))
        let unpinned = try folder.write(#"{"name": "old", "library": "\#(path)", "abi": {"min": "1.0", "max": "1.0"}}"#, to: "unpinned.driver.json")
        #expect(try #require(throws: DriverError.self) { try Catalogs.make().load(unpinned) }.detail.contains("no Baton note"))
    }

    @Test("a note that promises another range than the entry states is refused with both")
    func lyingNote() throws {
        let path = try SharedLibrary.driver("lying_note", in: folder)
        let error = try #require(throws: DriverError.self) { try Catalogs.make().load(path) }
        #expect(error.code == .failedPrecondition && error.call == "entry")
        #expect(error.detail.contains("its note says ABI 1.0..1.0 and its entry ABI 1.0..1.9"))
    }

    @Test("a manifest that promises more than the note is refused before loading")
    func manifestBeyondNote() throws {
        let manifest = try folder.write(#"{"name": "old", "library": "\#(library)", "abi": {"min": "1.0", "max": "1.3"}}"#, to: "m.driver.json")
        let error = try #require(throws: DriverError.self) { try Catalogs.make().load(manifest) }
        #expect(error.detail.contains("its manifest says ABI 1.0..1.3 and its note ABI 1.0..1.0"))
    }

    @Test("a file that is no library for this machine is named as what it is", arguments: [
        (0, [0x23, 0x21, 0x2F, 0x62], "it is no ELF file: it begins with"), (4, [1], "32-bit"), (5, [2], "big-endian"),
        (18, [40, 0], "it is built for ARM, where this machine is"), (18, [0xFF, 0xEE], "machine 61183"), (16, [2, 0], "ELF type is 2"),
        (54, [1, 0], "program headers have 1 bytes each"), (56, [0, 0], "0 program headers"), (56, [0xFF, 0xFF], "65535 program headers"),
        (32, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], "program headers end past byte"),
        (32, [0, 0, 0, 0, 0, 0, 0, 0x7F], "program headers end past byte"),
    ] as [(Int, [UInt8], String)])
    func identity(at: Int, new: [UInt8], words: String) throws {
        let error = try refusal(changed(at, new))
        #expect(error.code == .invalidArgument && error.detail.contains(words), "\(error)")
    }

    @Test("text, nothing and a folder are named as what they are")
    func noLibrary() throws {
        #expect(try refusal(Array("This is no library.\n".utf8)).detail.contains("it is no ELF file: it begins with \"This is \""))
        #expect(try refusal([]).detail.contains("the file is empty"))
        let error = try #require(throws: DriverError.self) { try Catalogs.make().load(folder.path) }
        #expect(error.detail.contains("not a regular file"))
    }

    @Test("a library cut short anywhere before its last segment's end is refused", arguments: [1, 20, 63, 64, 200, 700, 4_200])
    func truncated(length: Int) throws {
        try #require(length < bytes.count)
        #expect(try refusal(Array(bytes.prefix(length))).detail.contains(length < 64 ? "cut short" : "past byte \(length)"))
    }

    @Test("a damaged note is named", arguments: [
        (0, [0xFF, 0xFF, 0xFF, 0xFF], "runs past the end of its segment"), (4, [0xFF, 0xFF, 0xFF, 0x7F], "runs past the end of its segment"),
        (20, [8, 0, 0, 0], "states 8 bytes"), (28, [0, 0, 0, 0], "is no range"), (28, [9, 0, 0, 0], "is no range"),
        (44, [0xC3, 0x28], "not printable UTF-8"), (44, [0, 0, 0], "is not a driver's name"), (45, [0x2F], "is not a driver's name"),
        (36, [2, 0, 0, 0], "its note says"),
    ] as [(Int, [UInt8], String)])
    func damagedNote(at: Int, new: [UInt8], words: String) throws {
        let owner: [UInt8] = [6, 0, 0, 0, 152, 0, 0, 0, 1, 0, 0, 0] + Array("Baton".utf8)
        let start = try #require((0..<(bytes.count - owner.count)).first { bytes[$0..<($0 + owner.count)].elementsEqual(owner) })
        guard words != "its note says" else {
            // A range that meets the host's passes here, and is compared with the entry's once that has run.
            let path = folder.file("libbaton-liar.so")
            let file = try #require(fopen(path, "w"))
            let liar = changed(start + at, new)
            #expect(fwrite(liar, 1, liar.count, file) == liar.count)
            fclose(file)
            let error = try #require(throws: DriverError.self) { try Catalogs.make().load(path) }
            #expect(error.call == "entry" && error.detail.contains("its note says ABI 1.0..2.0 and its entry ABI 1.0..1.0"))
            return
        }
        #expect(try refusal(changed(start + at, new)).detail.contains(words))
    }

    @Test("two notes are refused, since nobody could say which is meant")
    func twoNotes() throws {
        let note = try #require(try ELFFile(bytes).notes.first { $0.owner == Array("Baton".utf8) })
        let record = ELFBuilder.record("Baton", 1, note.contents)
        #expect(try refusal(ELFBuilder.library(notes: record + record)).detail.contains("2 Baton notes"))
        #expect(try DriverNote(ELFFile(ELFBuilder.library(notes: record)))?.name == "old")
        #expect(try DriverNote(ELFFile(ELFBuilder.library(notes: ELFBuilder.record("Other", 1, [1, 2, 3])))) == nil)
    }

    @Test("notes without number or end are not read for ever")
    func bounded() throws {
        let small = ELFBuilder.record("x", 1, [])
        #expect(throws: ELFError("it has more than the 256 notes that are read")) {
            try ELFFile(ELFBuilder.library(notes: Array(repeating: small, count: 300).flatMap { $0 }))
        }
        #expect(throws: ELFError("its notes have more than the 1048576 bytes that are read")) {
            try ELFFile(ELFBuilder.library(notes: [UInt8](repeating: 0, count: (1 << 20) + 4)))
        }
    }

    @Test("each driver of this build carries a note that agrees with its entry", arguments: ExportTests.libraries)
    func ownDrivers(library: String) throws {
        let file = try ELFFile(try Self.whole("\(ExportTests.folder)/\(library)"))
        let note = try #require(try DriverNote(file))
        #expect("libbaton-\(note.name).so" == library && note.abi.maximum == ABIRange.host.maximum)
    }

    private static func whole(_ path: String) throws -> [UInt8] {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: ftell(file))
        rewind(file)
        #expect(fread(&bytes, 1, bytes.count, file) == bytes.count)
        return bytes
    }
}
