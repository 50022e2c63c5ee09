@testable import Driver

/// Small ELF files, byte by byte, for what no linker writes.
enum ELFBuilder {
    static func little(_ value: UInt64, _ width: Int) -> [UInt8] { (0..<width).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) } }

    /// One note, padded to 4 bytes.
    static func record(_ owner: String, _ type: UInt32, _ contents: [UInt8]) -> [UInt8] {
        let name = Array(owner.utf8) + [0]
        func padded(_ bytes: [UInt8]) -> [UInt8] { bytes + [UInt8](repeating: 0, count: (4 - bytes.count % 4) % 4) }
        return little(UInt64(name.count), 4) + little(UInt64(contents.count), 4) + little(UInt64(type), 4) + padded(name) + padded(contents)
    }

    /// A shared library for this machine that has one PT_NOTE segment and nothing else.
    static func library(notes: [UInt8]) -> [UInt8] {
        let identity: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + [UInt8](repeating: 0, count: 9)
        let header = identity + little(3, 2) + little(UInt64(ELFFile.machine), 2) + little(1, 4) + little(0, 8) + little(64, 8) + little(0, 8)
            + little(0, 4) + little(64, 2) + little(56, 2) + little(1, 2) + little(64, 2) + little(0, 2) + little(0, 2)
        let segment = little(4, 4) + little(4, 4) + little(120, 8) + little(120, 8) + little(120, 8) + little(UInt64(notes.count), 8)
            + little(UInt64(notes.count), 8) + little(4, 8)
        return header + segment + notes
    }
}
