import Driver

extension Handoff {
    /// The copies of one part, in order. A handoff has its own, so that its failure is nobody else's.
    final class Copies {
        let timeline: Timeline
        /// That of the copy queued last.
        var value: UInt64 = 0

        init(on device: Device) throws(DriverError) { timeline = try Timeline(on: device) }

        /// Waits up to `timeout` nanoseconds until every queued copy has ended, well or badly; false when one may still be under way.
        func hasEnded(within timeout: UInt64) -> Bool {
            guard value > 0 else { return true }
            do throws(DriverError) { try timeline.wait(value, timeout: timeout) } catch {
                switch error.code {
                case .deadlineExceeded: return false
                // Of a device that works, the copies' own failure. A lost one says nothing of them: with its process they have ended; in this one
                // only a device that still quiesces has ended them.
                case .unavailable: return works || timeline.device.library.isIsolated || quiesces(within: 0)
                default: return true
                }
            }
            return true
        }

        private var works: Bool {
            do throws(DriverError) { try timeline.device.checkHealth() } catch { return false }
            return true
        }

        /// Ends what the device still has, also what will never end by itself; false when it does not answer. Nothing can be queued there afterwards.
        /// Cancelled work is ended work.
        func quiesces(within timeout: UInt64) -> Bool {
            do throws(DriverError) { try timeline.device.quiesce(nanoseconds: timeout) } catch { return error.code == .deadlineExceeded }
            return true
        }
    }
}
