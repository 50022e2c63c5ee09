import CDriver
import Glibc

extension Checks {
    /// D18
    static func buffersHold(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        var random = Random(3)
        for length in [1, 63, 64, 65, 4_097, 100_003] {
            let buffer = try bench.allocate(UInt64(length))
            defer { bench.release(buffer) }
            let fresh = try bench.read(buffer, length)
            try require(fresh.allSatisfy { $0 == 0 }, "a new buffer of \(length) bytes is not zero at \(fresh.firstIndex { $0 != 0 } ?? 0)")
            var wanted = fresh
            for _ in 0..<4 {
                let at = random.below(length)
                let bytes = random.bytes(1 + random.below(length - at))
                try bench.write(buffer, bytes, at: UInt64(at))
                wanted.replaceSubrange(at..<at + bytes.count, with: bytes)
            }
            let found = try bench.read(buffer, length)
            try require(found == wanted, "a buffer of \(length) bytes does not give back what was written, from byte \(zip(found, wanted).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? 0)")
            let half = try bench.read(buffer, length - length / 2, at: UInt64(length / 2))
            try require(half == Array(wanted[(length / 2)...]), "a read from the middle of \(length) bytes gives other bytes")
        }
        return ""
    }

    /// D19
    static func buffersHaveEnds(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let buffer = try bench.allocate(100)
        defer { bench.release(buffer) }
        let (read, write) = (try slot(subject.buffer.read, "buffer.read"), try slot(subject.buffer.write, "buffer.write"))
        var bytes = [UInt8](repeating: 0, count: 128)
        for (offset, length) in [(UInt64(96), UInt64(8)), (101, 1), (0, 101), (.max - 3, 8), (4, .max - 3)] {
            try refused("read of \(length) bytes from \(offset) of 100", [Code.outOfRange]) { read(bench.device, buffer, offset, &bytes, length, $0) }
            try refused("write of \(length) bytes at \(offset) of 100", [Code.outOfRange]) { write(bench.device, buffer, offset, bytes, length, $0) }
        }
        return ""
    }

    /// D20
    static func allocationRefuses(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let allocate = try slot(subject.buffer.allocate, "buffer.allocate")
        var out: OpaquePointer?
        try refused("allocate of 0 bytes", [Code.invalid]) { allocate(bench.device, 0, &out, $0) }
        for length in [bench.info.memory_bytes &+ 1, 1 << 62, .max] as [UInt64] {
            try refused("allocate of \(length) bytes on a device of \(bench.info.memory_bytes)", [Code.exhausted]) { allocate(bench.device, length, &out, $0) }
        }
        return ""
    }

    /// D21
    static func memoryComesBack(_ subject: Subject) throws -> Note {
        let (bench, note) = try smallBench(subject)
        let memory = bench.info.memory_bytes
        guard memory <= 1 << 30 else { return "the device is too large to fill here" }
        let piece = memory / 4 + 64
        let allocate = try slot(subject.buffer.allocate, "buffer.allocate")
        for _ in 0..<3 {
            var held: [OpaquePointer] = []
            for _ in 0..<3 { held.append(try bench.allocate(piece)) }
            var out: OpaquePointer?
            try refused("a fourth allocate of a quarter of the memory and 64 bytes", [Code.exhausted]) { allocate(bench.device, piece, &out, $0) }
            for buffer in held { bench.release(buffer) }
        }
        return Note(note)
    }

    /// A device with little memory, where an option of the driver can make one.
    private static func smallBench(_ subject: Subject) throws -> (Bench, String) {
        let names = (0..<Int(subject.driver.option_count)).compactMap { index -> String? in
            guard let first = subject.driver.options else { return nil }
            return String((UnsafeRawPointer(first) + index * Int(first.pointee.size)).loadUnaligned(as: baton_option_info.self).name)
        }
        guard names.contains("memory") else { return (try Bench(subject), "") }
        let small = [("memory", "\(16 << 20)")]
        guard let bench = try? Bench(subject, small) else { return (try Bench(subject), "") }
        return (bench, "with memory of 16 MiB")
    }

    /// D22
    static func importedMemoryIsSeen(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        let importMemory = try slot(subject.buffer.import_memory, "buffer.import_memory")
        guard let page = mmap(nil, 8_192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), page != MAP_FAILED else { return "no memory" }
        defer { munmap(page, 8_192) }
        var random = Random(5)
        let bytes = random.bytes(4_096)
        page.copyMemory(from: bytes, byteCount: bytes.count)
        var memory = baton_memory.sized()
        memory.kind = baton_memory_kind(BATON_MEMORY_HOST)
        memory.address = UInt64(UInt(bitPattern: page))
        memory.descriptor = -1
        memory.offset = 96
        memory.length = 4_000
        var out: OpaquePointer?
        let answer = ask { importMemory(bench.device, &memory, UInt32(BATON_ACCESS_READ | BATON_ACCESS_WRITE), &out, $0) }
        if answer.code == Code.unimplemented { return "host memory is not imported" }
        guard answer.isOK, let buffer = out else { throw Broken("import of host memory gave \(answer.text)") }
        defer { bench.release(buffer) }
        let found = try bench.read(buffer, 4_000)
        try require(found == Array(bytes[96..<4_096]), "imported host memory reads as other bytes")
        try bench.write(buffer, [1, 2, 3], at: 10)
        let written = (0..<3).map { page.load(fromByteOffset: 106 + $0, as: UInt8.self) }
        let again = try bench.read(buffer, 3, at: 10)
        try require(again == [1, 2, 3], "a write to imported memory is not read back")
        return Note(written == [1, 2, 3] ? "without a copy" : "by a copy")
    }

    /// D23
    static func mapSeesTheBytes(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        guard let map = subject.buffer.map else { return "map is not offered" }
        let buffer = try bench.allocate(256)
        defer { bench.release(buffer) }
        try bench.write(buffer, [9, 8, 7], at: 100)
        var place: UnsafeMutableRawPointer?
        let answer = ask { map(bench.device, buffer, 3, &place, $0) }
        if answer.code == Code.unimplemented { return "map is not offered" }
        guard answer.isOK, let place else { throw Broken("map gave \(answer.text)") }
        let seen = (0..<3).map { place.load(fromByteOffset: 100 + $0, as: UInt8.self) }
        try require(seen == [9, 8, 7], "mapped memory shows \(seen) where [9, 8, 7] was written")
        place.storeBytes(of: 42, toByteOffset: 200, as: UInt8.self)
        try slot(subject.buffer.unmap, "buffer.unmap")(bench.device, buffer)
        try require(try bench.read(buffer, 1, at: 200) == [42], "what was written through a map is not read back")
        return ""
    }

    /// D24
    static func copiesCopy(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        guard let copy = subject.buffer.copy else { return "copy is not offered" }
        var random = Random(9)
        let bytes = random.bytes(1_000)
        let (from, to) = (try bench.allocate(1_000), try bench.allocate(1_000))
        defer { bench.release(from); bench.release(to) }
        try bench.write(from, bytes)
        let answer = ask { copy(bench.device, to, 17, bench.device, from, 3, 500, nil, $0) }
        if answer.code == Code.unimplemented { return "copy is not offered" }
        try require(answer.isOK, "copy gave \(answer.text)")
        var wanted = [UInt8](repeating: 0, count: 1_000)
        wanted.replaceSubrange(17..<517, with: bytes[3..<503])
        try require(try bench.read(to, 1_000) == wanted, "a copy of 500 bytes gave others")
        let done = try bench.timeline()
        defer { bench.release(timeline: done) }
        try call("queued copy") { status in Order(signal: done).lend { copy(bench.device, to, 600, bench.device, from, 0, 400, $0, status) } }
        try bench.finish(done)
        wanted.replaceSubrange(600..<1_000, with: bytes[0..<400])
        try require(try bench.read(to, 1_000) == wanted, "a queued copy of 400 bytes gave others")
        try refused("copy past the end", [Code.outOfRange]) { copy(bench.device, to, 900, bench.device, from, 0, 101, nil, $0) }
        return ""
    }

    /// D25
    static func exportedMemoryIsTheBuffer(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        guard let export = subject.buffer.export_memory else { return "export is not offered" }
        let buffer = try bench.allocate(128)
        defer { bench.release(buffer) }
        try bench.write(buffer, [5, 6, 7, 8], at: 60)
        var memory = baton_memory.sized()
        let isNamed = try exportedFileIsTheBuffer(subject, bench)
        let answer = ask { export(bench.device, buffer, baton_memory_kind(BATON_MEMORY_HOST), &memory, $0) }
        if answer.code == Code.unimplemented { return isNamed ? "by descriptor alone" : "export is not offered" }
        try require(answer.isOK, "export gave \(answer.text)")
        try require(memory.kind == BATON_MEMORY_HOST && memory.length == 128, "128 bytes are exported as kind \(memory.kind), \(memory.length) bytes")
        guard let place = UnsafeRawPointer(bitPattern: UInt(memory.address &+ memory.offset)) else { throw Broken("the exported address is null") }
        let seen = (0..<4).map { place.load(fromByteOffset: 60 + $0, as: UInt8.self) }
        try require(seen == [5, 6, 7, 8], "the exported memory shows \(seen) where [5, 6, 7, 8] was written")
        return ""
    }

    /// The same of a buffer of the size of results, by descriptor; whether that is offered.
    private static func exportedFileIsTheBuffer(_ subject: Subject, _ bench: Bench) throws -> Bool {
        let length = 200_000
        // A device may have less.
        guard let buffer = try? bench.allocate(UInt64(length)) else { return false }
        defer { bench.release(buffer) }
        try bench.write(buffer, [5, 6, 7, 8], at: 150_001)
        var memory = baton_memory.sized()
        let answer = ask { code in subject.buffer.export_memory?(bench.device, buffer, baton_memory_kind(BATON_MEMORY_MEMFD), &memory, code) ?? Code.unimplemented }
        if answer.code == Code.unimplemented { return false }
        try require(answer.isOK, "export by descriptor gave \(answer.text)")
        try require(
            memory.kind == BATON_MEMORY_MEMFD && memory.length == UInt64(length), "\(length) bytes are exported as kind \(memory.kind), \(memory.length) bytes")
        let count = Int(memory.offset) + length
        let mapped = mmap(nil, count, PROT_READ | PROT_WRITE, MAP_SHARED, Int32(truncatingIfNeeded: memory.descriptor), 0)
        guard let mapped, mapped != MAP_FAILED else { throw Broken("the exported descriptor \(memory.descriptor) cannot be mapped") }
        defer { munmap(mapped, count) }
        let place = mapped + Int(memory.offset)
        let seen = (0..<4).map { place.load(fromByteOffset: 150_001 + $0, as: UInt8.self) }
        try require(seen == [5, 6, 7, 8], "the exported memory shows \(seen) where [5, 6, 7, 8] was written")
        place.storeBytes(of: 9, toByteOffset: 150_002, as: UInt8.self)
        try require(try bench.read(buffer, length)[150_001..<150_005] == [5, 9, 7, 8], "what is written to the exported memory is not read from the buffer")
        return true
    }

    /// D26
    static func releaseOfNull(_ subject: Subject) throws -> Note {
        let bench = try Bench(subject)
        try slot(subject.buffer.release, "buffer.release")(bench.device, nil)
        try slot(subject.program.release, "program.release")(bench.device, nil)
        try slot(subject.timeline.release, "timeline.release")(bench.device, nil)
        if let kv = subject.kv { try slot(kv.release, "kv.release")(bench.device, nil) }
        let buffer = try bench.allocate(64)
        bench.release(buffer)
        return ""
    }
}
