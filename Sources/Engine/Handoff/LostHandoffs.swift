import Synchronization

/// Handoffs that ended before their copies had. Devices may still read and write their memory and blocks, so each is kept, with its
/// timelines and its devices, until the copies have ended; with a device that never answers, until the process ends.
enum LostHandoffs {
    /// Of a handoff that is over nothing changes any more but `isLost`, so that any thread may look at it.
    private struct Held: @unchecked Sendable { var handoff: Handoff }
    private static let all = Mutex<[Held]>([])

    static func keep(_ handoff: Handoff) {
        let held = Held(handoff: handoff)
        all.withLock { $0.append(held) }
    }

    /// Lets go of those whose copies have ended since; `isLost` is false of them then. Does not block on a driver that keeps the contract.
    static func sweep() { sweep(closing: []) }

    /// The same where stages are done with: the devices of their lost handoffs are quiesced, which ends copies that would never end.
    static func sweep(closing stages: [OpenStage]) {
        let held = all.withLock { $0 }
        for one in held { one.handoff.recover(closing: stages.contains { one.handoff.isBetween($0) }) }
        all.withLock { $0.removeAll { !$0.handoff.isLost } }
        if !stages.isEmpty { Staging.letGo() }
        // The last to hold them lets go of their devices here, outside of the lock.
        withExtendedLifetime(held) {}
    }
}
