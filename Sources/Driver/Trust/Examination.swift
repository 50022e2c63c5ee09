/// What was found of a driver before any code of it ran: its file, its manifest, and whether they may be relied on.
struct Examination: Sendable {
    let file: LibraryFile
    let manifest: DriverManifest?
    /// What was promised of the entry's range, by the note or, for a library of contract 1.0, by the manifest.
    let promised: ABIRange

    /// Examines a candidate. What is learned goes into it, also when it is refused.
    /// - Throws: the first thing that is wrong, in one line.
    init(of candidate: inout LoadReport.Candidate, policy: TrustPolicy) throws(DriverError) {
        let path = candidate.path
        manifest = try Self.manifest(of: candidate)
        candidate.driverABI = manifest?.abi?.description
        if let words = PathTrust.objection(to: path) {
            throw Self.refusal(.permissionDenied, path, "the library cannot be relied on: \(words)")
        }
        if let range = manifest?.abi { try Self.check(range, of: candidate.manifest ?? path, against: candidate.hostRange) }
        file = try LibraryFile(opening: path)
        candidate.note = file.note
        candidate.sha256 = file.sha256
        candidate.buildID = file.note.flatMap { $0.build.isEmpty ? nil : $0.build } ?? file.buildID
        promised = try Self.promise(file, manifest, path)
        candidate.driverABI = promised.description
        try Self.check(promised, of: path, against: candidate.hostRange)
        try Self.agree(manifest, file.note, path)
        try Self.checkHash(manifest, file, candidate)
        let state = Self.signature(manifest, file, policy)
        candidate.signature = state.description
        try Self.meet(policy, manifest, state, path)
    }

    private static func refusal(_ code: DriverError.Code, _ path: String, _ words: String) -> DriverError {
        DriverError(code, driver: path, call: "load", detail: "\(words); nothing was loaded")
    }

    private static func manifest(of candidate: LoadReport.Candidate) throws(DriverError) -> DriverManifest? {
        guard let path = candidate.manifest else { return nil }
        if let words = PathTrust.objection(to: path) { throw refusal(.permissionDenied, path, "the driver manifest cannot be relied on: \(words)") }
        return try DriverManifest(reading: path)
    }

    private static func check(_ range: ABIRange, of path: String, against host: ABIRange?) throws(DriverError) {
        guard let host, !range.meets(host) else { return }
        throw refusal(.failedPrecondition, path, "the driver speaks ABI \(range), this host \(host)")
    }

    /// The range that the note promises. A library without a note has a manifest that promises in its place, or is refused.
    private static func promise(_ file: LibraryFile, _ manifest: DriverManifest?, _ path: String) throws(DriverError) -> ABIRange {
        if let note = file.note { return note.abi }
        if let range = manifest?.abi, manifest?.sha256 != nil { return range }
        throw refusal(
            .failedPrecondition, path,
            "the library has no Baton note, so nothing is known of it before it runs; build it with BATON_DRIVER_NOTE of note.h, or, if it is of contract 1.0, state abi and sha256 in a driver manifest")
    }

    /// The manifest may promise less than the note, and not more.
    private static func agree(_ manifest: DriverManifest?, _ note: DriverNote?, _ path: String) throws(DriverError) {
        guard let manifest, let note else { return }
        guard manifest.name == note.name else {
            throw refusal(
                .failedPrecondition, path, "its manifest calls it '\(manifest.name)' and the library calls itself '\(note.name)'; make them agree")
        }
        if let range = manifest.abi, range.minimum < note.abi.minimum || range.maximum > note.abi.maximum {
            throw refusal(.failedPrecondition, path, "its manifest says ABI \(range) and its note ABI \(note.abi); make them agree")
        }
    }

    private static func checkHash(_ manifest: DriverManifest?, _ file: LibraryFile, _ candidate: LoadReport.Candidate) throws(DriverError) {
        guard let wanted = manifest?.sha256, wanted != file.sha256 else { return }
        throw refusal(
            .dataLoss, candidate.manifest ?? candidate.path, "sha256 of \(candidate.path) is \(file.sha256), its manifest says \(wanted)")
    }

    static func signature(_ manifest: DriverManifest?, _ file: LibraryFile, _ policy: TrustPolicy) -> DriverSignature.State {
        guard let manifest, let signature = manifest.signature else { return .unsigned }
        guard let statement = manifest.statement else { return .wrong }
        return signature.state(over: statement, keys: policy.keys)
    }

    private static func meet(
        _ policy: TrustPolicy, _ manifest: DriverManifest?, _ state: DriverSignature.State, _ path: String
    ) throws(DriverError) {
        let asked = policy.sources.isEmpty ? "" : " (\(policy.sources.joined(separator: ", ")))"
        if state == .wrong {
            throw refusal(.unauthenticated, path, "the signature in its manifest is not over this hash, ABI and capabilities; sign it again with `baton driver sign`")
        }
        if policy.require >= .hash, manifest?.sha256 == nil {
            throw refusal(.permissionDenied, path, "the policy\(asked) requires a sha256 and no driver manifest pins one; `baton driver sign` writes it")
        }
        guard policy.require == .signature else { return }
        switch state {
        case .valid: return
        case .unknownKey(let key): throw refusal(.unauthenticated, path, "it is signed by key \(key), which is not on the list\(asked)")
        case .unsigned, .wrong: throw refusal(.unauthenticated, path, "the policy\(asked) requires a signature and its manifest has none; `baton driver sign` makes one")
        }
    }
}

extension LoadReport.Candidate {
    /// The library or driver manifest `file` (absolute), examined without running any of its code: `.listed`, or `.refused` with the reason.
    public static func examined(_ file: String, policy: TrustPolicy) -> LoadReport.Candidate {
        var candidate = DriverSearch.candidate(file: file, source: "explicit", hostABI: .host)
        guard candidate.decision == .listed else { return candidate }
        do throws(DriverError) { _ = try Examination(of: &candidate, policy: policy) } catch {
            candidate.decision = .refused
            candidate.error = error.description
        }
        return candidate
    }
}
