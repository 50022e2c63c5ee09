import CIsolation
import Glibc
import Synchronization

/// One line between host and child, for one call at a time: a segment that both see, with a mailbox, a frame and a piece of a buffer in it, and a
/// socket for descriptors. Either end may be the other's enemy: lengths are checked, and a frame is copied before it is read.
final class Channel: @unchecked Sendable {
    enum End: Int32 { case child = 0, host = 1 }

    let socket: Int32
    /// `Wire.segment` bytes.
    private let segment: UnsafeMutableRawPointer
    private let end: End
    /// How many letters this end has taken.
    private var seen: UInt32 = 0
    /// The call that runs, and its batch: what is named when the child ends. Written by the caller.
    let current = Atomic<UInt16>(0)
    let tag = Atomic<UInt64>(0)
    /// How often a side looks for a frame before it sleeps, where one is due within some ten microseconds.
    static let spins: Int32 = 30

    /// Takes over both descriptors.
    init(_ end: End, socket: Int32, segment descriptor: Int32) throws(WireError) {
        defer { Glibc.close(descriptor) }
        guard cisolation_keeps_length(descriptor, UInt64(Wire.segment)) != 0,
            let mapped = mmap(nil, Wire.segment, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), mapped != MAP_FAILED
        else {
            Glibc.close(socket)
            throw WireError("a channel's segment cannot be mapped")
        }
        self.end = end
        self.socket = socket
        segment = mapped
    }

    private var mailbox: UnsafeMutableRawPointer { segment }
    private var body: UnsafeMutableRawPointer { segment + Wire.mailbox }
    /// Where pieces of buffers go, past the frames.
    var piece: UnsafeMutableRawPointer { body + Wire.limit }

    struct Frame {
        var kind: UInt16
        var reader: WireReader
        /// The receiver's to close.
        var descriptors: [Int32]
    }

    enum Failure: Error {
        case closed
        case timedOut
        case damaged(String)
    }

    /// Sends a frame. Does not block; with descriptors, only while the socket is full.
    func send(_ kind: UInt16, _ bytes: [UInt8], descriptors: [Int32] = []) throws(Failure) {
        guard bytes.count <= Wire.limit else { throw .damaged("a frame of \(bytes.count) bytes; at most \(Wire.limit) can be sent") }
        bytes.withUnsafeBytes { bytes in if let base = bytes.baseAddress { body.copyMemory(from: base, byteCount: bytes.count) } }
        if !descriptors.isEmpty {
            var mark: UInt8 = 0
            guard cisolation_send(socket, &mark, 1, descriptors, Int32(descriptors.count)) == 0 else { throw .closed }
        }
        let letter = cisolation_letter(kind: UInt32(kind), length: UInt32(bytes.count), descriptors: UInt32(descriptors.count))
        cisolation_post(mailbox, end == .host ? End.child.rawValue : End.host.rawValue, letter)
    }

    /// Waits for a frame, in slices of `slice` milliseconds; `isOver` is asked after each.
    func receive(slice: Int32 = -1, spins: Int32 = 0, isOver: () -> Bool = { false }) throws(Failure) -> Frame {
        var letter = cisolation_letter()
        var spins = spins
        while true {
            switch cisolation_await(mailbox, end.rawValue, &seen, slice, spins, &letter) {
            case 0: return try frame(letter)
            case -ETIMEDOUT: if isOver() { throw .timedOut }
            default: throw .closed
            }
            spins = 0
        }
    }

    private func frame(_ letter: cisolation_letter) throws(Failure) -> Frame {
        guard let kind = UInt16(exactly: letter.kind), letter.length <= UInt32(Wire.limit), letter.descriptors <= UInt32(CISOLATION_DESCRIPTORS) else {
            throw .damaged("a frame of kind \(letter.kind) states \(letter.length) bytes and \(letter.descriptors) descriptors")
        }
        let bytes = Array(UnsafeRawBufferPointer(start: body, count: Int(letter.length)))
        return Frame(kind: kind, reader: WireReader(bytes), descriptors: letter.descriptors > 0 ? try descriptors(Int(letter.descriptors)) : [])
    }

    /// Those that were sent before their letter was posted, and so are there.
    private func descriptors(_ stated: Int) throws(Failure) -> [Int32] {
        var (found, count, mark): ([Int32], Int32, UInt8) = ([Int32](repeating: -1, count: Int(CISOLATION_DESCRIPTORS)), 0, 0)
        let length = cisolation_receive(socket, &mark, 1, 0, &found, &count)
        let descriptors = Array(found.prefix(Int(count)))
        guard length == 1, descriptors.count == stated else {
            for descriptor in descriptors { Glibc.close(descriptor) }
            throw .damaged("a frame states \(stated) descriptors and \(descriptors.count) came")
        }
        return descriptors
    }

    /// Ends all waiting at both ends, now and later.
    func hangUp() { cisolation_close(mailbox) }

    deinit {
        hangUp()
        munmap(segment, Wire.segment)
        Glibc.close(socket)
    }
}
