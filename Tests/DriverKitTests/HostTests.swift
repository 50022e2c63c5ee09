import CDriver
import DriverKit
import Synchronization
import Testing

@Suite("What the host gives, and what the device is asked beforehand")
struct HostTests {
    /// A host that runs every piece of a parallel_for and opens one peer, the toy's own device.
    private func host() -> baton_host {
        var host = hostTable(one, one)
        host.worker_count = 3
        host.parallel_for = { _, count, grain, body, user in
            var begin: UInt64 = 0
            while begin < count {
                body?(user, begin, min(begin + grain, count), UInt32(begin / grain % 3))
                begin += grain
            }
            return 0
        }
        host.open_device = { _, name, options, _, status in
            let failure = DriverFailure(.notFound, "no driver of \(name.length) letters with \(options?.pointee.count ?? 0) options", vendorCode: 5)
            failure.write(to: status)
            return failure.code.rawValue
        }
        host.close_device = { _, _ in }
        return host
    }

    @Test("a closure runs over every index once")
    func parallel() {
        var raw = host()
        let host = Host(&raw)
        var seen = [Int](repeating: 0, count: 100)
        host.parallelFor(100, grain: 7) { begin, end, worker in
            #expect(worker < host.workerCount)
            for index in begin..<end { seen[index] += 1 }
        }
        #expect(seen.allSatisfy { $0 == 1 })
        host.parallelFor(0, grain: 7) { _, _, _ in Issue.record("nothing to do") }
    }

    @Test("a host that is null or short still runs the body, and opens nothing")
    func short() {
        let host = Host(nil)
        var sum = 0
        host.parallelFor(10, grain: 1) { begin, end, _ in sum += end - begin }
        #expect(sum == 10 && host.workerCount == 1)
        host.log(.info, "nowhere")
        #expect(throws: DriverFailure.self) { try host.openPeer("cpu") }
        #expect(host.interface("baton.trace", version: 1) == nil)
    }

    @Test("a peer that cannot be opened gives the host's code, words and vendor code")
    func peer() {
        var raw = host()
        let host = Host(&raw)
        let failure = #expect(throws: DriverFailure.self) { try host.openPeer("cpu", [("a", "1"), ("b", "2")]) }
        #expect(failure == DriverFailure(.notFound, "no driver of 3 letters with 2 options", vendorCode: 5))
    }

    @Test("an interface the driver lacks, or has at another version, is null")
    func interfaces() {
        let toy = Toy()
        func find(_ id: StaticString, _ version: UInt32) -> UnsafeRawPointer? {
            let data = UnsafeRawPointer(id.utf8Start).assumingMemoryBound(to: CChar.self)
            return toy.driver.get_interface(baton_string(data: data, length: UInt64(id.utf8CodeUnitCount)), version)
        }
        #expect(find("baton.kv", 1) != nil)
        #expect(find("baton.kv", 2) == nil)
        #expect(find("baton.cost", 1) == nil)
        #expect(find("vendor.x", 1) == nil)
    }

    @Test("quiesce and wait inside a callback are refused instead of hanging")
    func inside() {
        final class Inside: @unchecked Sendable {
            let toy = Toy()
            var timeline: OpaquePointer?
            var quiesced: baton_code = 0
            var waited: baton_code = 0
        }
        let inside = Inside()
        inside.timeline = inside.toy.timeline()
        let callback: baton_callback = { user, _ in
            let inside = Unmanaged<Inside>.fromOpaque(user!).takeUnretainedValue()
            inside.quiesced = inside.toy.table.quiesce(inside.toy.device, 0, nil)
            inside.waited = inside.toy.timelines.wait(inside.toy.device, inside.timeline, 99, .max, nil, nil)
        }
        let user = Unmanaged.passUnretained(inside).toOpaque()
        #expect(Answer { inside.toy.timelines.notify(inside.toy.device, inside.timeline, 0, callback, user, $0) }.code == 0)
        #expect(inside.quiesced == BATON_FAILED_PRECONDITION && inside.waited == BATON_FAILED_PRECONDITION)
    }

    @Test("a failed timeline answers with its code, its words and the highest value reached")
    func failed() {
        let toy = Toy()
        let timeline = toy.timeline(4)
        var reason = emptyStatus()
        #expect(Answer { toy.timelines.fail(toy.device, timeline, &reason, $0) }.code == BATON_INVALID_ARGUMENT)
        DriverFailure(.cancelled, "the request went away").write(to: &reason)
        #expect(Answer { toy.timelines.fail(toy.device, timeline, &reason, $0) }.code == 0)
        var event = baton_event()
        event.size = UInt32(MemoryLayout<baton_event>.size)
        #expect(Answer { toy.timelines.query(toy.device, timeline, 2, &event, $0) } == Answer { _ in baton_code(BATON_CANCELLED) }.with("the request went away"))
        #expect(event.code == BATON_CANCELLED && event.value == 4)
    }

    @Test("memory that fits counts its parts, and sums that overflow do not fit")
    func need() {
        #expect(MemoryNeed(weights: 1, workspace: 2, kv: 3, available: 6).fits)
        #expect(!MemoryNeed(weights: .max, workspace: 2, kv: 3, available: .max).fits)
    }
}

extension Answer {
    func with(_ words: String) -> Answer {
        var copy = self
        copy.words = words
        return copy
    }
}
