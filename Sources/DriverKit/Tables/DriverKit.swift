public import CDriver
import Synchronization

/// What a driver written in Swift is built on: it turns Swift types into the tables of the contract.
///
/// A driver is four types and one function:
/// ```swift
/// public import CDriver
/// import DriverKit
///
/// @_cdecl("baton_driver_entry")
/// public func entry(_ host: UnsafePointer<baton_host>?, _ out: UnsafeMutablePointer<baton_driver>?) -> baton_code {
///     DriverKit.enter(EchoDriver.self, host, out)
/// }
///
/// enum EchoDriver: DriverDefinition {
///     static let name = "echo", version = "1.0.0", vendor = "Example"
///     static let options = [OptionDescription("memory", .integer, default: "1024", unit: "MiB", help: "Memory of the device.", min: 1)]
///     static func describe(_ options: Options) throws(DriverFailure) -> DeviceDescription { ... }
///     static func open(_ options: Options, host: Host) throws(DriverFailure) -> any DeviceImplementation { EchoDevice(options, host) }
/// }
/// ```
/// - A device is a class: `DeviceImplementation`; what it makes are `BufferImplementation`, `ProgramImplementation`, `PoolImplementation`.
///   What it does not implement answers UNIMPLEMENTED.
/// - Work goes through a `SubmissionQueue`: `queue.submit(sync) { ... return .wall(since: start) }`. It waits, runs, signals or fails.
/// - Everything that arrives has been read and proven: sizes, handles, indices, shapes, ranges. A driver adds only its own limits.
/// - A failure is `throw DriverFailure(.resourceExhausted, "one line")`.
public enum DriverKit {
    struct Plugin: @unchecked Sendable {
        var definition: any DriverDefinition.Type
        var options: [OptionDescription]
        var host: Host
    }

    /// One for each shared library, since C functions cannot capture. Written by `enter` alone.
    static let plugin = Mutex<Plugin?>(nil)

    static func loaded() throws(DriverFailure) -> Plugin {
        guard let plugin = plugin.withLock({ $0 }) else {
            throw DriverFailure(.failedPrecondition, "the driver was not entered; call baton_driver_entry first")
        }
        return plugin
    }

    static let abi = baton_version(major: UInt32(BATON_ABI_MAJOR), minor: UInt32(BATON_ABI_MINOR))

    /// The body of `baton_driver_entry`: negotiates a version and fills `out`. Opens nothing and starts nothing.
    public static func enter(
        _ definition: any DriverDefinition.Type, _ host: UnsafePointer<baton_host>?, _ out: UnsafeMutablePointer<baton_driver>?
    ) -> baton_code {
        guard let host, let out, host.pointee.size >= 24 else { return DriverFailure.Code.invalidArgument.rawValue }
        var driver = baton_driver.sized()
        driver.abi_min = baton_version(major: abi.major, minor: 0)
        driver.abi_max = abi
        driver.name = Interned.text(definition.name)
        guard let chosen = negotiate(host.pointee.abi_min, host.pointee.abi_max, driver.abi_min, driver.abi_max) else {
            driver.write(to: out)
            return DriverFailure.Code.failedPrecondition.rawValue
        }
        let options = definition.options
        let entered = Plugin(definition: definition, options: options, host: Host(host))
        plugin.withLock { $0 = entered }
        driver.abi = chosen
        fill(&driver, definition, options)
        driver.write(to: out)
        return 0
    }

    private static func fill(_ driver: inout baton_driver, _ definition: any DriverDefinition.Type, _ options: [OptionDescription]) {
        driver.version = Interned.text(definition.version)
        driver.vendor = Interned.text(definition.vendor)
        driver.option_count = UInt32(options.count)
        if !options.isEmpty {
            let kept = UnsafeMutablePointer<baton_option_info>.allocate(capacity: options.count)
            kept.initialize(from: options.map(\.contract), count: options.count)
            driver.options = UnsafePointer(kept)
        }
        driver.device = Kept.device
        driver.buffer = Kept.buffer
        driver.program = Kept.program
        driver.timeline = Kept.timeline
        driver.get_interface = { id, version in DriverKit.interface(String(id, limit: 256), version) }
        driver.describe = { options, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let plugin = try DriverKit.loaded()
                guard let out else { throw .invalid("describe has no place for its answer; pass one") }
                try plugin.definition.describe(try Options(options, plugin.options)).contract.write(to: out)
            }
        }
    }

    /// The newest version in both ranges; minors are compared under one major.
    static func negotiate(_ a: baton_version, _ b: baton_version, _ c: baton_version, _ d: baton_version) -> baton_version? {
        func key(_ version: baton_version) -> UInt64 { UInt64(version.major) << 32 | UInt64(version.minor) }
        let low = max(key(a), key(c))
        let high = min(key(b), key(d))
        guard low <= high else { return nil }
        return baton_version(major: UInt32(high >> 32), minor: UInt32(truncatingIfNeeded: high))
    }

    private static func interface(_ id: String, _ version: UInt32) -> UnsafeRawPointer? {
        guard let definition = plugin.withLock({ $0?.definition }) else { return nil }
        if id == BATON_KV_INTERFACE { return version == UInt32(BATON_KV_VERSION) && definition.hasKV ? UnsafeRawPointer(Kept.kv) : nil }
        if id == BATON_COST_INTERFACE {
            return version == UInt32(BATON_COST_VERSION) && definition.cost != nil ? UnsafeRawPointer(Kept.cost) : nil
        }
        return definition.interface(id, version: version)
    }

    /// Runs the body of a slot and turns what it throws into a code and words.
    @inline(__always)
    static func guarded(_ status: UnsafeMutablePointer<baton_status>?, _ body: () throws(DriverFailure) -> Void) -> baton_code {
        do throws(DriverFailure) {
            try body()
            return 0
        } catch {
            error.write(to: status)
            return error.code.rawValue
        }
    }
}

/// The tables, made once and never freed.
enum Kept {
    private static func keep<T>(_ table: T) -> UnsafePointer<T> {
        let place = UnsafeMutablePointer<T>.allocate(capacity: 1)
        place.initialize(to: table)
        return UnsafePointer(place)
    }

    nonisolated(unsafe) static let device = keep(DriverKit.deviceTable())
    nonisolated(unsafe) static let buffer = keep(DriverKit.bufferTable())
    nonisolated(unsafe) static let program = keep(DriverKit.programTable())
    nonisolated(unsafe) static let timeline = keep(DriverKit.timelineTable())
    nonisolated(unsafe) static let kv = keep(DriverKit.kvTable())
    nonisolated(unsafe) static let cost = keep(DriverKit.costTable())
}
