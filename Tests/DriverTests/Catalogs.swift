import BuildKit
import Testing

@testable import Driver

/// Catalogs over folders that a test fills. One worker each: nothing here computes.
enum Catalogs {
    static func make(folders: [String] = [], offering abi: ABIRange = .host) -> DriverCatalog {
        make(DriverSearch(folders: folders), offering: abi)
    }

    static func make(_ search: DriverSearch, offering abi: ABIRange = .host) -> DriverCatalog {
        DriverCatalog(host: HostServices(workers: WorkerPool(threads: 1), abi: abi), search: search)
    }
}

extension ABIRange {
    /// `.of(1, 0...3)` is 1.0..1.3.
    static func of(_ major: UInt32, _ minors: ClosedRange<UInt32>) -> ABIRange {
        ABIRange(ABIVersion(major, minors.lowerBound), ABIVersion(major, minors.upperBound))
    }
}

extension Trait where Self == ConditionTrait {
    /// For suites that build drivers.
    static var needsCompiler: Self { .enabled(if: Tool.cc != nil, "no cc on PATH: drivers cannot be built for this test") }
}

/// Seeded random numbers (SplitMix64's constants), the same in every run.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
