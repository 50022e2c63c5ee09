/// What was found when drivers were looked for, and what was decided of each. `baton drivers --json` prints it.
public struct LoadReport: Sendable, Encodable {
    /// One candidate file.
    public struct Candidate: Sendable, Encodable {
        public enum Decision: String, Sendable, Encodable {
            /// In use.
            case loaded
            /// Looked at and turned down; `error` says why.
            case refused
            /// A candidate of the same name came before it.
            case shadowed
            /// Left out by BATON_DRIVERS_SELECT or BATON_DRIVERS_DISABLE.
            case disabled
            /// Not asked for yet.
            case listed
        }
        /// What it is found by: the `<name>` of `libbaton-<name>.so` or of its manifest.
        public var name: String
        /// What the library calls itself, once it is loaded. Found by this too, where no candidate has it as its name.
        public var ownName: String?
        /// Where the candidate came from: "explicit", "search", "BATON_DRIVER_FILES", "BATON_ADD_DRIVER_FILES".
        public var source: String
        /// Of the library.
        public var path: String
        /// Of its `.driver.json`, if that is how it was found.
        public var manifest: String?
        public var decision: Decision
        public var error: String?
        /// "1.0..1.0"
        public var hostABI: String
        public var driverABI: String?
        /// The version agreed on.
        public var abi: String?
        public var version: String?
        public var vendor: String?
        /// Of the library's bytes, as they were loaded or refused.
        public var sha256: String?
        /// What the library's ELF note says, read before any of its code ran.
        public var note: DriverNote?
        /// The note's build, or the linker's build id.
        public var buildID: String?
        /// The layers that BATON_LAYERS puts around its devices, outermost first; nil where there are none, or it is not loaded.
        public var layers: [String]?
        /// "unsigned", "valid, key …", "right, but key … is not on the list" or "wrong".
        public var signature: String?
    }
    /// What had to be shown before a driver was loaded.
    public var trust = TrustPolicy()
    public var searched: [String]
    public var candidates: [Candidate]
    /// Remarks that belong to no candidate, such as an environment variable that was ignored.
    public var notes: [String]
}
