import FoundationEssentials
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
    static func read(_ path: String) throws -> [UInt8] {
        do { return Array(try Data(contentsOf: URL(filePath: path))) } catch {
            throw Failure(code: 2, "\(path): cannot be read; check that it exists and may be read")
        }
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
