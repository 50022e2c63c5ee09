import Glibc
import Synchronization

/// A driver's library as an open file: what was hashed and read is what is loaded, whatever happens to its name meanwhile.
final class LibraryFile: Sendable {
    private let path: String
    let sha256: String
    let note: DriverNote?
    /// The linker's.
    let buildID: String?
    private let descriptor: Descriptor
    private let identity: Identity

    /// A descriptor that is closed with this, unless it was kept.
    private final class Descriptor: Sendable {
        let number: Int32
        init(_ number: Int32) { self.number = number }
        deinit { close(number) }
    }

    private struct Identity: Hashable {
        var device: UInt
        var inode: UInt
    }
    private struct Kept: Sendable {
        var descriptor: Descriptor
        var sha256: String
    }
    /// Every file that this process loaded a driver from. The linker loads one file once, so one that was changed since cannot be loaded again.
    private static let kept = Mutex<[Identity: Kept]>([:])

    /// Opens, reads and hashes the library at `path`. Runs none of its code.
    /// - Throws: that it cannot be read, is not a library for this machine, or carries a damaged note.
    init(opening path: String) throws(DriverError) {
        func fail(_ code: DriverError.Code, _ words: String) -> DriverError {
            DriverError(code, driver: path, call: "load", detail: "\(words); nothing was loaded")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw fail(errno == ENOENT ? .notFound : .permissionDenied, "the file cannot be read: \(String(cString: strerror(errno)))") }
        let held = Descriptor(descriptor)
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { throw fail(.invalidArgument, "it is not a regular file") }
        do throws(ELFError) {
            let file = try ELFFile(byteCount: UInt64(max(0, status.st_size))) { Self.read(descriptor, $0, $1) }
            note = try DriverNote(file)
            buildID = DriverNote.linkerBuildID(file)
        } catch { throw fail(.invalidArgument, error.words) }
        guard let sha256 = FileDigest(descriptor)?.sha256 else { throw fail(.unavailable, "the file cannot be read: \(String(cString: strerror(errno)))") }
        self.sha256 = sha256
        identity = Identity(device: UInt(status.st_dev), inode: UInt(status.st_ino))
        self.descriptor = held
        self.path = path
    }

    /// Lent while this lives: for a process that loads the file itself.
    var number: Int32 { descriptor.number }

    /// The path by which the dynamic linker opens this very file. The descriptor then stays open as long as the process, because the linker
    /// remembers the library by that path.
    func pathForLoading() throws(DriverError) -> String {
        let known = Self.kept.withLock { kept -> Kept in
            let known = kept[identity] ?? Kept(descriptor: descriptor, sha256: sha256)
            kept[identity] = known
            return known
        }
        guard known.sha256 == sha256 else {
            throw DriverError(
                .failedPrecondition, driver: path, call: "load", detail: "the file was changed after this process loaded it; start the program again")
        }
        return "/proc/self/fd/\(known.descriptor.number)"
    }

    private static func read(_ descriptor: Int32, _ offset: UInt64, _ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var got = 0
        while got < count {
            let step = bytes.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress?.advanced(by: got), count - got, off_t(clamping: offset) + off_t(got)) }
            if step > 0 { got += step } else if step == 0 || errno != EINTR { break }
        }
        return Array(bytes.prefix(got))
    }
}
