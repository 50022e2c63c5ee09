import BuildKit
import Glibc
import Testing

@testable import Driver

/// Hashes, signatures, policies, and who may write to what is loaded.
@Suite("Trust", .needsCompiler)
struct TrustTests {
    let folder: TemporaryFolder
    let library: String
    let key = SigningKey()

    init() throws {
        folder = try TemporaryFolder()
        library = try SharedLibrary.driver("old", in: folder)
    }

    private func load(_ path: String, _ policy: TrustPolicy) throws -> (DriverLibrary, LoadReport.Candidate) {
        let catalog = DriverCatalog(host: HostServices(workers: WorkerPool(threads: 1)), search: DriverSearch(folders: []), trust: policy)
        let library = try catalog.load(path)
        return (library, try #require(catalog.report.candidates.last))
    }

    private func refusal(_ path: String, _ policy: TrustPolicy) throws -> DriverError {
        let error = try #require(throws: DriverError.self) { try load(path, policy) }
        #expect(!error.description.contains("\n") && error.detail.contains("nothing was loaded"), "\(error)")
        #expect(try !Tool.read("/proc/self/maps").contains(library))
        return error
    }

    /// The path of a manifest that pins the library, signed where there is a key, after `change`.
    private func manifest(by key: SigningKey?, capabilities: [String]? = nil, _ change: (inout DriverManifest) -> Void = { _ in }) throws -> String {
        var manifest = try DriverManifest(describing: library)
        manifest.capabilities = capabilities
        if let key { try manifest.sign(by: key) }
        change(&manifest)
        let path = folder.file("old.driver.json")
        try manifest.write(to: path)
        return path
    }

    @Test("a signed driver loads under every requirement, and the report says by which key")
    func signed() throws {
        let path = try manifest(by: key)
        for require in TrustPolicy.Requirement.allCases {
            let (library, candidate) = try load(path, TrustPolicy(require: require, keys: [key.publicKey]))
            #expect(library.name == "old" && candidate.signature == "valid, key \(key.publicKey.id)")
        }
        let (_, candidate) = try load(path, TrustPolicy(require: .none))
        #expect(candidate.signature == "right, but key \(key.publicKey.id) is not on the list")
    }

    @Test("require hash refuses a library that nothing pins, and require signature one that nobody signed")
    func required() throws {
        #expect(try refusal(library, TrustPolicy(require: .hash, sources: ["/etc/x.json"])).detail.contains("(/etc/x.json) requires a sha256"))
        #expect(try refusal(try manifest(by: nil), TrustPolicy(require: .signature, keys: [key.publicKey])).code == .unauthenticated)
        let other = try refusal(try manifest(by: SigningKey()), TrustPolicy(require: .signature, keys: [key.publicKey]))
        #expect(other.detail.contains("not on the list"))
        #expect(try load(try manifest(by: nil), TrustPolicy(require: .hash)).0.name == "old")
    }

    @Test("a signature over another hash, range, name or set of capabilities is refused whatever is required")
    func altered() throws {
        let changes: [(inout DriverManifest) -> Void] = [
            { $0.capabilities = nil }, { $0.signature?.value = "AAAA" }, { $0.signature?.key = SigningKey().publicKey.description },
            { $0.abi = nil },
        ]
        for change in changes {
            let path = try manifest(by: key, capabilities: ["x.y"], change)
            #expect(try refusal(path, TrustPolicy()).detail.contains("is not over this hash"))
        }
        let wrong = try manifest(by: key) { $0.sha256 = String(repeating: "0", count: 64) }
        #expect(try refusal(wrong, TrustPolicy()).code == .dataLoss)
    }

    @Test("capabilities that are listed must be offered, and what is not listed is not used")
    func capabilities() throws {
        let error = try #require(throws: DriverError.self) { try load(try manifest(by: key, capabilities: ["baton.kv"]), TrustPolicy()) }
        #expect(error.detail.contains("'baton.kv', which the driver does not offer"))
        #expect(try load(try manifest(by: key, capabilities: []), TrustPolicy()).0.hasKV == false)
    }

    @Test("what anyone may write to is refused with the command that mends it: the library, its manifest, a folder above")
    func writable() throws {
        let path = try manifest(by: nil)
        #expect(chmod(library, 0o777) == 0)
        #expect(try refusal(library, TrustPolicy()).detail.contains("anyone may write to it (mode 0777); chmod o-w \(library)"))
        #expect(chmod(library, 0o755) == 0 && chmod(path, 0o666) == 0)
        #expect(try refusal(path, TrustPolicy()).detail.contains("chmod o-w \(path)"))
        #expect(chmod(path, 0o644) == 0 && chmod(folder.path, 0o777) == 0)
        #expect(try refusal(library, TrustPolicy()).detail.contains("its folder \(folder.path) (mode 0777)"))
        #expect(chmod(folder.path, 0o1777) == 0)
        #expect(try load(library, TrustPolicy()).0.name == "old")
        #expect(chmod(folder.path, 0o755) == 0)
    }

    @Test("a link does not hide that anyone may write where it leads")
    func links() throws {
        let other = try TemporaryFolder()
        let link = other.file("libbaton-link.so")
        #expect(symlink(library, link) == 0 && chmod(folder.path, 0o777) == 0)
        #expect(try refusal(link, TrustPolicy()).detail.contains(folder.path))
        #expect(chmod(folder.path, 0o755) == 0)
    }

    @Test("what was hashed is what is loaded, though another file takes its name meanwhile")
    func exchanged() throws {
        var candidate = DriverSearch.candidate(file: library, source: "explicit", hostABI: .host)
        let examination = try Examination(of: &candidate, policy: TrustPolicy())
        let other = try SharedLibrary.build("Tests/Fixtures/drivers/null_slots.c", name: "baton-other", in: folder)
        #expect(rename(other, library) == 0)
        var stated: ABIRange?
        let loaded = try DriverLibrary(
            loading: library, examined: examination, host: HostServices(workers: WorkerPool(threads: 1)), stated: &stated, mayNeedFilesBeside: true)
        #expect(loaded.name == "old")
    }

    @Test("a library that was changed in place after it was loaded is not loaded again as if it were the new one")
    func changedInPlace() throws {
        #expect(try load(library, TrustPolicy()).0.name == "old")
        let file = try #require(fopen(library, "a"))
        #expect(fwrite("x", 1, 1, file) == 1)
        fclose(file)
        let error = try #require(throws: DriverError.self) { try load(library, TrustPolicy()) }
        #expect(error.detail.contains("was changed after this process loaded it"))
    }

    @Test("the stricter of the operator's and the manifest's requirement counts, and the operator's keys before the manifest's")
    func policies() throws {
        let pub = folder.file("acme")
        _ = try key.write(stem: pub)
        let path = try folder.write(#"{"require": "hash", "keys": ["acme.pub"]}"#, to: "trust.json")
        let policy = try TrustPolicy(reading: path)
        #expect(policy.require == .hash && policy.keys == [key.publicKey])
        let mine = SigningKey().publicKey
        #expect(policy.tightened(require: .none, keys: [mine], source: "m.yaml").require == .hash)
        #expect(policy.tightened(require: .signature, keys: [mine], source: "m.yaml").require == .signature)
        #expect(policy.tightened(require: .none, keys: [mine], source: "m.yaml").keys == [key.publicKey])
        #expect(TrustPolicy().tightened(require: .none, keys: [mine], source: "m.yaml").keys == [mine])
    }

    @Test("what is wrong with an operator's file is said in one line", arguments: [
        ("", "is not JSON"), ("[]", "is not JSON"), (#"{"require": "all"}"#, "require is 'all'; it is none, hash, signature"),
        (#"{"requires": "hash"}"#, "unknown key 'requires'"), (#"{"keys": ["ed25519:AAAA"]}"#, "is not a public key"),
        (#"{"keys": ["gone.pub"]}"#, "No such file"),
    ])
    func badPolicies(text: String, words: String) throws {
        let path = try folder.write(text, to: "trust.json")
        let error = try #require(throws: DriverError.self) { try TrustPolicy(reading: path) }
        #expect(error.description.contains(words) && !error.description.contains("\n"))
    }

    @Test("a private key is for its owner alone, never overwritten, and not taken for a public one")
    func keys() throws {
        let files = try key.write(stem: folder.file("k"))
        #expect(try SigningKey(reading: files.key).publicKey == key.publicKey)
        #expect(try TrustKey(reading: files.pub) == key.publicKey)
        #expect(throws: DriverError.self) { try key.write(stem: folder.file("k")) }
        #expect(try #require(throws: DriverError.self) { try TrustKey(reading: files.key) }.detail.contains("is a private key"))
        #expect(try #require(throws: DriverError.self) { try SigningKey(reading: files.pub) }.detail.contains("others than its owner"))
        #expect(chmod(files.key, 0o640) == 0)
        #expect(try #require(throws: DriverError.self) { try SigningKey(reading: files.key) }.detail.contains("chmod 600"))
    }
}
