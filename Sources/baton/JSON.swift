import CHost
import FoundationEssentials
import Glibc
import Model
import Tokens

/// Reading and writing JSON for programs.
enum JSON {
    /// Keys sorted; numbers as they are.
    static func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    static func read<T: Decodable>(_ type: T.Type, from path: String, what: String) throws -> T {
        let data = try Files.read(path)
        do { return try JSONDecoder().decode(type, from: Data(data)) } catch {
            throw Failure(code: 2, "\(path): is not \(what); see `baton --help`")
        }
    }
}

/// Reading whole files, with errors that say which.
enum Files {
    /// The most bytes of a prompt, of messages, of cases.
    private static let limit = 64 << 20

    static func read(_ path: String) throws -> [UInt8] {
        var bytes: UnsafeMutablePointer<UInt8>?
        let count = chost_read_file(path, limit, &bytes)
        defer { free(bytes) }
        guard count >= 0 else {
            let reason = String(cString: strerror(Int32(-count)))
            throw Failure(code: 2, "\(path): cannot be read: \(reason); check that it is a file, exists and may be read")
        }
        guard count <= limit else { throw Failure(code: 2, "\(path): has more than \(limit >> 20) MiB, the most that is read; give a smaller file") }
        return Array(UnsafeBufferPointer(start: bytes, count: count))
    }

    /// The file as text; what is not UTF-8 is refused with the offset of the first wrong byte.
    static func text(_ path: String) throws -> String {
        let bytes = try read(path)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure(code: 2, "\(path): byte \(firstInvalid(bytes)) is not valid UTF-8; save the file as UTF-8")
        }
        return text
    }

    /// The offset at which the text stops being UTF-8.
    static func firstInvalid(_ bytes: [UInt8]) -> Int {
        var low = 0
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        while true {
            switch decoder.decode(&iterator) {
            case .scalarValue(let scalar): low += UTF8.width(scalar)
            case .emptyInput, .error: return low
            }
        }
    }

    static func write(_ text: String, to path: String) throws {
        do { try Data(text.utf8).write(to: URL(filePath: path)) } catch {
            throw Failure(code: 1, "\(path): cannot be written; check the folder and its permissions")
        }
    }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    static var currentDirectory: String { FileManager.default.currentDirectoryPath }

    /// `path` made absolute against `folder`, which is absolute.
    static func absolute(_ path: String, against folder: String) -> String {
        path.hasPrefix("/") ? path : folder + "/" + path
    }

    static func folder(of path: String) -> String {
        let whole = absolute(path, against: currentDirectory)
        return whole.lastIndex(of: "/").map { $0 == whole.startIndex ? "/" : String(whole[..<$0]) } ?? "/"
    }
}

extension UTF8 {
    fileprivate static func width(_ scalar: Unicode.Scalar) -> Int { String(scalar).utf8.count }
}
