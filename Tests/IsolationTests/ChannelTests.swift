import CIsolation
@testable import Driver
import Foundation
import Glibc
import Synchronization
import Testing

/// The line between host and child, both ends in this process. Either end may be the other's enemy.
struct ChannelTests {
    /// Both ends, and the segment as a third party sees it.
    private final class Pair: @unchecked Sendable {
        let host: Channel
        let child: Channel
        let segment: UnsafeMutableRawPointer

        init() throws {
            var sockets: [Int32] = [-1, -1]
            try #require(cisolation_pair(&sockets) == 0)
            let memory = cisolation_memory("test", UInt64(Wire.segment))
            try #require(memory >= 0)
            segment = try #require(mmap(nil, Wire.segment, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0))
            host = try Channel(.host, socket: sockets[0], segment: dup(memory))
            child = try Channel(.child, socket: sockets[1], segment: memory)
        }

        deinit { munmap(segment, Wire.segment) }
    }

    private static func bytes(_ frame: Channel.Frame) throws -> [UInt8] {
        var reader = frame.reader
        return try (0..<reader.remaining).map { _ in try reader.take(UInt8.self) }
    }

    @Test("frames of any length go there and back, each once", arguments: [0, 1, 4_095, 40_000, Wire.limit])
    func frames(count: Int) throws {
        let pair = try Pair()
        for turn in 0..<3 {
            let there = [UInt8](repeating: UInt8(turn + 1), count: count)
            try pair.host.send(7, there)
            let request = try pair.child.receive(slice: 10_000)
            #expect(try request.kind == 7 && Self.bytes(request) == there)
            try pair.child.send(8, [9])
            let reply = try pair.host.receive(slice: 10_000)
            #expect(try reply.kind == 8 && Self.bytes(reply) == [9])
        }
        var asked = 0
        #expect(throws: Channel.Failure.self) {
            _ = try pair.host.receive(slice: 1) {
                asked += 1
                return asked == 3
            }
        }
        #expect(asked == 3)
    }

    @Test("a frame that is too long is not sent")
    func tooLong() throws {
        let pair = try Pair()
        #expect(throws: Channel.Failure.self) { try pair.host.send(1, [UInt8](repeating: 0, count: Wire.limit + 1)) }
    }

    @Test("who sleeps is woken by a frame, in either direction, ten thousand times")
    func wakes() throws {
        let pair = try Pair()
        let child = Thread {
            while let frame = try? pair.child.receive(spins: 1) { try? pair.child.send(frame.kind, []) }
        }
        child.start()
        for turn in 0..<10_000 {
            try pair.host.send(UInt16(turn), [])
            #expect(try pair.host.receive(slice: 60_000, spins: Int32(turn % 3)) { true }.kind == UInt16(turn))
        }
        pair.host.hangUp()
    }

    @Test("who waits at either end is let go when the other hangs up, and so is who waits later", arguments: [true, false])
    func hangsUp(byHost: Bool) throws {
        let pair = try Pair()
        let (waiting, other) = byHost ? (pair.child, pair.host) : (pair.host, pair.child)
        let isOver = Atomic<Bool>(false)
        let thread = Thread {
            _ = try? waiting.receive()
            isOver.store(true, ordering: .sequentiallyConsistent)
        }
        thread.start()
        usleep(20_000)
        other.hangUp()
        while !isOver.load(ordering: .sequentiallyConsistent) { usleep(1_000) }
        #expect(throws: Channel.Failure.self) { _ = try waiting.receive() }
    }

    @Test("descriptors come with their frame, and one that states more than came is damaged")
    func descriptors() throws {
        let pair = try Pair()
        let file = cisolation_memory("test", 5)
        defer { close(file) }
        try pair.host.send(1, [1], descriptors: [file, file])
        let frame = try pair.child.receive(slice: 10_000)
        #expect(frame.descriptors.count == 2)
        for descriptor in frame.descriptors {
            var status = stat()
            #expect(fstat(descriptor, &status) == 0 && status.st_size == 5 && descriptor != file)
            close(descriptor)
        }
        for letter in [
            cisolation_letter(kind: 1, length: 0, descriptors: 1), cisolation_letter(kind: 1, length: 0, descriptors: 5),
            cisolation_letter(kind: 1, length: UInt32(Wire.limit) + 1, descriptors: 0), cisolation_letter(kind: 70_000, length: 0, descriptors: 0),
        ] {
            cisolation_post(pair.segment, 1, letter)
            #expect(throws: Channel.Failure.self) { _ = try pair.host.receive(slice: 10_000) }
        }
    }

    @Test("whatever the other end writes over the mailbox, receiving ends in a frame or a failure within its time")
    func scribbled() throws {
        var dice = Dice(11)
        for _ in 0..<300 {
            let pair = try Pair()
            for index in 0..<Int(CISOLATION_MAILBOX) where dice.below(4) == 0 {
                pair.segment.storeBytes(of: UInt8(dice.below(256)), toByteOffset: index, as: UInt8.self)
            }
            let found = Result { try pair.host.receive(slice: 1) { true } }
            if case .success(let frame) = found { #expect(frame.reader.remaining <= Wire.limit) }
        }
    }

    @Test("a wait ends in its time, also while the other end wakes it without a letter again and again")
    func wokenForNothing() throws {
        #if arch(x86_64)
        let futex = 202
        #else
        let futex = 98
        #endif
        typealias System = @convention(c) (Int, UnsafeMutableRawPointer?, Int, Int, Int, Int, Int) -> Int
        let system = unsafeBitCast(try #require(dlsym(nil, "syscall")), to: System.self)
        let pair = try Pair()
        let isOver = Atomic<Bool>(false)
        // The number of the host's lane, the second of 64 bytes.
        let thread = Thread { while !isOver.load(ordering: .relaxed) { _ = system(futex, pair.segment + 64, 1, 1, 0, 0, 0) } }
        thread.start()
        var asked = 0
        #expect(throws: Channel.Failure.self) {
            _ = try pair.host.receive(slice: 60_000) {
                asked += 1
                return asked == 3
            }
        }
        isOver.store(true, ordering: .relaxed)
        #expect(asked == 3)
    }
}
