// swift-tools-version: 6.2
import PackageDescription

/// The house rules every Swift target is compiled under.
let house: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

/// One folder of `Plugins/` = one `libbaton-<name>.so` that exports `baton_driver_entry` and nothing else.
/// To remove a driver, delete its folder and its line here.
struct DriverPlugin {
    var name: String
    var module: String
    /// True for a driver in plain C, which sees `include/` alone; false for a Swift driver over DriverKit.
    var plainC = false
    /// The name of a C target in `Plugins/<name>/kernels`, if there is one.
    var kernels: String?
}

let plugins: [DriverPlugin] = [
    DriverPlugin(name: "null", module: "NullDriver", plainC: true),
    DriverPlugin(name: "cpu", module: "CPUDriver", kernels: "CPUKernels"),
    DriverPlugin(name: "trainium3", module: "Trainium3Driver"),
    DriverPlugin(name: "cs3", module: "CS3Driver"),
]

/// Hides every symbol of a driver but its entry point.
let oneSymbol: [LinkerSetting] = [
    .unsafeFlags(["-Xlinker", "--version-script=\(Context.packageDirectory)/include/baton/driver.map"])
]

extension DriverPlugin {
    var product: Product { .library(name: "baton-\(name)", type: .dynamic, targets: [module]) }

    var targets: [Target] {
        let path = "Plugins/\(name)"
        if plainC {
            return [
                .target(
                    name: module, dependencies: ["CDriver"], path: path, exclude: ["README.md", "conformance.json"],
                    publicHeadersPath: ".", linkerSettings: oneSymbol)
            ]
        }
        let kernelTargets: [Target] = kernels.map {
            [.target(name: $0, path: "\(path)/kernels", cSettings: [.unsafeFlags(["-O3", "-Wall", "-Wextra", "-Werror"])])]
        } ?? []
        let note = Target.target(name: "\(module)Note", dependencies: ["CDriver"], path: "\(path)/note", publicHeadersPath: ".")
        let dependencies: [Target.Dependency] = ["DriverKit", "CDriver", .target(name: note.name)] + (kernels.map { [.target(name: $0)] } ?? [])
        return kernelTargets + [
            note,
            .target(
                name: module, dependencies: dependencies, path: path,
                exclude: ["README.md", "note"] + (kernels == nil ? [] : ["kernels"]),
                swiftSettings: house, linkerSettings: oneSymbol)
        ]
    }
}

/// Tests of a driver's kernels, where the driver is.
let kernelTests: [Target] = plugins.compactMap(\.kernels).map { .testTarget(name: "\($0)Tests", dependencies: [.target(name: $0), "BuildKit"], swiftSettings: house) }

let log = Target.Dependency.product(name: "Logging", package: "swift-log")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")

let package = Package(
    name: "baton",
    products: [.executable(name: "baton", targets: ["baton"]), .executable(name: "baton-driver-host", targets: ["baton-driver-host"])] + plugins.map(\.product),
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.34.1"),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
    ],
    targets: [
        // Ground: C.
        .target(
            name: "CDriver", path: ".", sources: ["Sources/CDriver"], publicHeadersPath: "include",
            cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]),
        .systemLibrary(name: "CLibFFI", path: "Sources/CFFI/System", pkgConfig: "libffi", providers: [.apt(["libffi-dev"])]),
        .target(name: "CFFI", dependencies: ["CLibFFI"], path: "Sources/CFFI", exclude: ["System"]),

        .target(name: "CHost"),
        .target(name: "CIsolation", dependencies: ["CDriver"], cSettings: [.unsafeFlags(["-Wall", "-Wextra", "-Werror"])]),

        // What `baton driver new` writes, embedded. Its sources are the templates.
        .target(name: "CTemplates", exclude: ["kit", "embed.py"]),

        // Floor 1: pure values, and the one door to C.
        .target(name: "Pipeline", dependencies: ["CHost", "Yams"], swiftSettings: house),
        .target(name: "Model", dependencies: [crypto], swiftSettings: house),
        .target(name: "Tokens", swiftSettings: house),
        .target(name: "Driver", dependencies: ["CDriver", "CFFI", "CHost", "CIsolation", crypto, log], swiftSettings: house),

        // Floor 2: the main path.
        .target(name: "Engine", dependencies: ["CHost", "Pipeline", "Model", "Tokens", "Driver", log], swiftSettings: house),

        .target(name: "DriverConformance", dependencies: ["CDriver", "Driver"], swiftSettings: house),

        // Floor 3: drivers held to one another, over the engine's own handoff.
        .target(name: "HandoffConformance", dependencies: ["Driver", "Model", "Engine", "DriverConformance"], swiftSettings: house),

        // Floor 3: what callers reach over HTTP, and what asks as they do.
        .target(
            name: "Server",
            dependencies: [
                "CHost", "Pipeline", "Model", "Tokens", "Driver", "Engine", log, crypto, .product(name: "Metrics", package: "swift-metrics"),
                .product(name: "CoreMetrics", package: "swift-metrics"), .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HummingbirdTLS", package: "hummingbird"), .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"), .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"), .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
            ],
            resources: [.embedInCode("Page/page.html"), .embedInCode("Page/page.css"), .embedInCode("Page/page.js")],
            swiftSettings: house),
        .target(
            name: "LoadGenerator",
            dependencies: [
                log, .product(name: "AsyncHTTPClient", package: "async-http-client"), .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOFoundationCompat", package: "swift-nio"),
            ],
            swiftSettings: house),

        // Beside: what drivers written in Swift build on. Sees include/ only.
        .target(name: "DriverKit", dependencies: ["CDriver"], swiftSettings: house),

        // Floor 4: the command.
        .executableTarget(
            name: "baton",
            dependencies: [
                "CHost", "CTemplates", "Pipeline", "Model", "Tokens", "Driver", "Engine", "DriverConformance", "HandoffConformance", "Server", "LoadGenerator", log,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: house),

        // What the runtime itself costs; `make bench-micro` runs it.
        .target(name: "MicroCalls", dependencies: ["CDriver"], path: "Benchmarks/MicroCalls"),
        .executableTarget(
            name: "microbench", dependencies: ["MicroCalls", "CDriver", "Driver", "Engine", "Model", "Tokens"], path: "Benchmarks/Micro", swiftSettings: house),

        // What an isolated driver runs in: started by the command, not by hand.
        .executableTarget(name: "baton-driver-host", dependencies: ["Driver"], swiftSettings: house),

        // Tests, by what they need: nothing; a driver (skipped aloud where it is not built); the model.
        .target(name: "TestKit", dependencies: ["Driver", "Model", "Tokens"], path: "Tests/TestKit", swiftSettings: house),
        .target(name: "BuildKit", path: "Tests/BuildKit", swiftSettings: house),
        // Fuzzing: what takes untrusted bytes, a seeded mutator with its runner, and a test that runs it for a while. `make fuzz` links Fuzz with libFuzzer.
        .target(name: "Fuzz", dependencies: ["Pipeline", "Model", "Driver"], path: "Tests/Fuzz", exclude: ["link.sh"], swiftSettings: house),
        .executableTarget(name: "baton-fuzz", dependencies: ["Fuzz"], path: "Tests/FuzzRunner", swiftSettings: house),
        .testTarget(name: "FuzzTests", dependencies: ["Fuzz", "BuildKit", "TestKit", "baton-fuzz"], swiftSettings: house),
        .testTarget(name: "DeviceModelTests", dependencies: ["Driver", "TestKit"], swiftSettings: house),
        .testTarget(name: "CPUDriverTests", dependencies: ["Driver", "TestKit", "BuildKit", "CDriver"], swiftSettings: house),
        .testTarget(name: "HouseTests", swiftSettings: house),
        .testTarget(name: "ConformanceTests", dependencies: ["DriverConformance", "HandoffConformance", "CTemplates", "TestKit", "BuildKit", "baton", "baton-driver-host"], swiftSettings: house),
        .testTarget(name: "BedrockTests", dependencies: ["Server", "Engine", "Tokens", "TestKit", "BuildKit", "baton", crypto, .product(name: "NIOCore", package: "swift-nio"), .product(name: "HTTPTypes", package: "swift-http-types")], swiftSettings: house),
        .testTarget(name: "BatonTests", dependencies: ["TestKit", "BuildKit", "baton"], swiftSettings: house),
        .testTarget(name: "DriverTests", dependencies: ["Driver", "BuildKit", "TestKit"], swiftSettings: house),
        .testTarget(name: "ServerTests", dependencies: ["Server", "Engine", "Driver", "Tokens", "TestKit", "BuildKit", log], exclude: ["openai_client.py"], swiftSettings: house),
        .testTarget(
            name: "PageTests", dependencies: ["Server", "Engine", "Tokens"], path: "Tests/Page", exclude: ["browser.py", "page_test.py"], swiftSettings: house),
        .testTarget(name: "LoadGeneratorTests", dependencies: ["LoadGenerator"], swiftSettings: house),
        .testTarget(name: "IsolationTests", dependencies: ["Driver", "CDriver", "CIsolation", "TestKit", "BuildKit", "baton-driver-host"], swiftSettings: house),
        .testTarget(name: "EngineTests", dependencies: ["Engine", "TestKit", "baton-driver-host"], swiftSettings: house),
        .testTarget(name: "ForeignFunctionTests", dependencies: ["Driver", "BuildKit"], swiftSettings: house),
        .testTarget(name: "ContractTests", dependencies: ["CDriver", "BuildKit"], swiftSettings: house),
        .testTarget(name: "DriverKitTests", dependencies: ["DriverKit", "CDriver"], swiftSettings: house),
        .testTarget(name: "TokensTests", dependencies: ["Tokens", "Model"], swiftSettings: house),
        .testTarget(name: "ModelTests", dependencies: ["Model"], swiftSettings: house),
        .testTarget(name: "PipelineTests", dependencies: ["Pipeline"], swiftSettings: house),
    ] + plugins.flatMap(\.targets) + kernelTests
)
