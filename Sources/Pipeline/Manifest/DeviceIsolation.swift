// SPDX-License-Identifier: Apache-2.0

extension Manifest.Device {
    /// Whether the device's driver runs in a process of its own, and how far that one may go.
    public struct Isolation: Hashable, Sendable {
        public enum Mode: String, Hashable, Sendable, CaseIterable {
            /// In this process.
            case none
            /// In a child of its own.
            case process
        }
        public let mode: Located<Mode>
        /// MiB of private memory; nil for as much as the machine has.
        public let memory: Located<UInt64>?
        public let processors: Located<Int>?
        /// Whether files, network and programs are fenced off.
        public let fence: Located<Bool>?
        /// How long a call that ought to return at once may take.
        public let deadline: Located<Duration>?
        /// How long work may take that waits for nothing.
        public let workDeadline: Located<Duration>?
        /// How often within `window` the child is started again, and how long after its first end.
        public let budget: Located<Int>?
        public let window: Located<Duration>?
        public let pause: Located<Duration>?
    }
}

extension ManifestReader {
    /// `isolation: process`, or a mapping; and `restart: {budget: 3, window: 1m, pause: 100ms}` beside it. Nil where neither is written.
    func isolation(_ keys: KeyedValues, _ device: String) throws(ManifestError) -> Manifest.Device.Isolation? {
        guard let value = keys["isolation"] ?? keys["restart"] else { return nil }
        let restart = try keys["restart"].map { value throws(ManifestError) in
            try KeyedValues(value, "restart of \(device)", keys: ManifestKeys.restart, file: file)
        }
        var mode = Located(Manifest.Device.Isolation.Mode.process)
        var own: KeyedValues?
        if let written = keys["isolation"] {
            if case .scalar = written.content { mode = try scalars.choice(written, "isolation") } else {
                let found = try KeyedValues(written, "isolation of \(device)", keys: ManifestKeys.isolation, file: file)
                mode = try found["mode"].map { value throws(ManifestError) in try scalars.choice(value, "mode") } ?? mode
                own = found
            }
        } else {
            throw ManifestError(.badValue, file, value.position, "restart of \(device) is for a driver in a process of its own; write \"isolation: process\" beside it")
        }
        func duration(_ keys: KeyedValues?, _ key: String) throws(ManifestError) -> Located<Duration>? {
            try keys?[key].map { value throws(ManifestError) in try scalars.duration(value, key) }
        }
        return Manifest.Device.Isolation(
            mode: mode, memory: try own?["memory"].map { value throws(ManifestError) in try scalars.integer(value, "memory", 16...UInt64(1 << 40)) },
            processors: try own?["processors"].map { value throws(ManifestError) in try scalars.integer(value, "processors", 1...1_024) },
            fence: try own?["fence"].map { value throws(ManifestError) in try scalars.flag(value, "fence") },
            deadline: try duration(own, "deadline"), workDeadline: try duration(own, "work_deadline"),
            budget: try restart?["budget"].map { value throws(ManifestError) in try scalars.integer(value, "budget", 0...1_000) },
            window: try duration(restart, "window"), pause: try duration(restart, "pause"))
    }
}
