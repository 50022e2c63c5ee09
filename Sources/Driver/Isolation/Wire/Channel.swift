import CIsolation
import Glibc
import Synchronization

/// One line between host and child, for one call at a time: a socket for frames and descriptors, and a segment that both see for what is long.
/// Either end may be the other's enemy: lengths are checked, and a frame in the segment is copied before it is read.
final class Channel: @unchecked Sendable {
    let socket: Int32
    /// `Wire.segment` bytes.
    let segment: UnsafeMutableRawPointer
    /// The call that runs, and its batch: what is named when the child ends. Written by the caller.
    let current = Atomic<UInt16>(0)
    let tag = Atomic<UInt64>(0)
    /// How often a side looks for a frame before it sleeps, where one is due within some ten microseconds.
    static let spins: Int32 = 30
    private var room = [UInt8](repeating: 0, count: Wire.inline + 64)

    /// Takes over both descriptors.
    init(socket: Int32, segment descriptor: Int32) throws(WireError) {
        defer { Glibc.close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, Int(status.st_size) >= Wire.segment,
            let mapped = mmap(nil, Wire.segment, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), mapped != MAP_FAILED
        else {
            Glibc.close(socket)
            throw WireError("a channel's segment cannot be mapped")
        }
        self.socket = socket
        segment = mapped
    }

    /// Where pieces of buffers go, past the frames.
    var piece: UnsafeMutableRawPointer { segment + Wire.limit }

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

    /// Sends a frame. Blocks only while the socket is full.
    func send(_ kind: UInt16, _ body: [UInt8], descriptors: [Int32] = []) throws(Failure) {
        guard body.count <= Wire.limit else { throw .damaged("a frame of \(body.count) bytes; at most \(Wire.limit) can be sent") }
        var header = WireWriter()
        header.put(kind)
        header.put(UInt16(body.count > Wire.inline ? 1 : 0))
        header.put(UInt32(body.count))
        var frame = header.bytes
        if body.count > Wire.inline {
            body.withUnsafeBytes { bytes in if let base = bytes.baseAddress { segment.copyMemory(from: base, byteCount: bytes.count) } }
        } else {
            frame += body
        }
        guard cisolation_send(socket, frame, frame.count, descriptors, Int32(descriptors.count)) == 0 else { throw .closed }
    }

    /// Waits for a frame, in slices of `slice` milliseconds; `isOver` is asked after each.
    func receive(slice: Int32 = -1, spins: Int32 = 0, isOver: () -> Bool = { false }) throws(Failure) -> Frame {
        var descriptors = [Int32](repeating: -1, count: Int(CISOLATION_DESCRIPTORS))
        var count: Int32 = 0
        var spins = spins
        while true {
            let length = cisolation_receive(socket, &room, room.count, slice, spins, &descriptors, &count)
            spins = 0
            if length == Int(-ETIMEDOUT) {
                if isOver() { throw .timedOut }
                continue
            }
            guard length > 0 else { throw .closed }
            return try frame(length, Array(descriptors.prefix(Int(count))))
        }
    }

    private func frame(_ length: Int, _ descriptors: [Int32]) throws(Failure) -> Frame {
        do throws(WireError) {
            var header = WireReader(Array(room[..<min(length, 8)]))
            let kind: UInt16 = try header.take()
            let place: UInt16 = try header.take()
            let count: UInt32 = try header.take()
            guard place <= 1, Int(count) <= Wire.limit, place == 1 || Int(count) == length - 8 else {
                throw WireError("a frame of \(length) bytes states \(count)")
            }
            let body = place == 0 ? Array(room[8..<length]) : Array(UnsafeRawBufferPointer(start: segment, count: Int(count)))
            return Frame(kind: kind, reader: WireReader(body), descriptors: descriptors)
        } catch {
            for descriptor in descriptors { Glibc.close(descriptor) }
            throw .damaged(error.description)
        }
    }

    deinit {
        munmap(segment, Wire.segment)
        Glibc.close(socket)
    }
}
