@testable import Driver
import Foundation
import Glibc
import Synchronization
import Testing

/// Deadlines of calls that are made where they are asked.
struct CallWatchTests {
    private static let watch = CallWatch.shared
    private static let long: UInt64 = 3_600_000_000_000

    @Test("a call that returns in its time is not late, whatever its limit", arguments: [3_600_000_000_000, UInt64.max])
    func inTime(limit: UInt64) {
        let ticket = Self.watch.begin(limit) {
            Issue.record("it is not late")
            return ""
        }
        #expect(Self.watch.end(ticket) == nil)
    }

    @Test("a late call is told once, and says so when it returns; one beside it with more time is not")
    func late() {
        let told = Mutex(0)
        let patient = Self.watch.begin(Self.long) { "patient" }
        let ticket = Self.watch.begin(1_000_000) {
            told.withLock { $0 += 1 }
            return "late"
        }
        while told.withLock({ $0 }) == 0 { usleep(1_000) }
        usleep(5_000)
        #expect(Self.watch.end(ticket) == "late")
        #expect(Self.watch.end(patient) == nil)
        #expect(told.withLock { $0 } == 1)
    }

    @Test("a call with no time at all is late, and calls on many threads are told each its own")
    func many() {
        DispatchQueue.concurrentPerform(iterations: 200) { index in
            let told = Atomic<Bool>(false)
            let hurried = Self.watch.begin(0) {
                told.store(true, ordering: .sequentiallyConsistent)
                return "\(index)"
            }
            let patient = Self.watch.begin(Self.long) { "" }
            while !told.load(ordering: .sequentiallyConsistent) { usleep(100) }
            #expect(Self.watch.end(hurried) == "\(index)")
            #expect(Self.watch.end(patient) == nil)
        }
    }
}
