package import CDriver
import Logging

/// A driver with layers around it, for one device of the host: tables whose functions make each call a value, hand it down the layers and, below
/// them, to the driver. The driver is not changed; a slot it lacks is lacking here too. Kept for ever, as drivers are. Any thread.
package final class LayeredDriver: @unchecked Sendable {
    /// The name of the driver, and of the device as the manifest calls it.
    let name: String
    let label: String
    let logger: Logger
    private let signal: (@Sendable (Int32, Bool) -> Void)?
    let inner: DriverTables
    /// Outermost first.
    private(set) var layers: [any Layer] = []
    package private(set) var device = baton_device_table()
    package private(set) var buffer = baton_buffer_table()
    package private(set) var program = baton_program_table()
    package private(set) var timeline = baton_timeline_table()
    package private(set) var kv: baton_kv_table?
    package private(set) var cost: baton_cost_table?
    package private(set) var describe: (@convention(c) (UnsafePointer<baton_options>?, UnsafeMutablePointer<baton_device_info>?, UnsafeMutablePointer<baton_status>?) -> baton_code)?
    /// The functions that take no device, which need to know whose they are.
    private var closures: [ForeignClosure] = []

    /// - Parameter signal: sends a signal to the driver's own process, where it has one.
    init(
        _ inner: DriverTables, name: String, label: String, layers names: [LayerName], logger: Logger, signal: (@Sendable (Int32, Bool) -> Void)? = nil
    ) throws(DriverError) {
        self.signal = signal
        self.inner = inner
        self.name = name
        self.label = label
        self.logger = logger
        for (index, name) in names.enumerated() { layers.append(try Self.layer(name, for: self, isInnermost: index == names.count - 1)) }
        addDevice()
        addBuffer()
        addProgram()
        addTimeline()
        addKV()
        do { try addFunctionsWithoutDevice() } catch {
            throw DriverError(.resourceExhausted, driver: name, call: "layers", detail: error.description)
        }
        _ = Unmanaged.passRetained(self)
    }

    private static func layer(_ name: LayerName, for driver: LayeredDriver, isInnermost: Bool) throws(DriverError) -> any Layer {
        let place = LayerPlace(driver: driver.name, device: driver.label, logger: driver.logger, signal: driver.signal, isInnermost: isInnermost)
        return switch name.kind {
        case .validate: ValidateLayer(place)
        case .trace: try TraceLayer(name, place)
        case .record: try RecordLayer(name, place)
        case .fault: try FaultLayer(name, place)
        case .watchdog: try WatchdogLayer(name, place)
        }
    }

    /// Makes a call through all layers.
    func perform(_ name: CallName, on device: LayeredDevice?, _ arguments: Call.Arguments, _ status: UnsafeMutablePointer<baton_status>?) -> baton_code {
        if let status { return NextLayer(self)(Call(name: name, device: device, arguments: arguments, status: status)) }
        return withUnsafeTemporaryAllocation(of: baton_status.self, capacity: 1) { room in
            guard let own = room.baseAddress else { return DriverError.Code.resourceExhausted.rawValue }
            own.initialize(to: baton_status())
            own.pointee.size = UInt32(MemoryLayout<baton_status>.size)
            return NextLayer(self)(Call(name: name, device: device, arguments: arguments, status: own))
        }
    }

    /// A call on a device's handle.
    private static func enter(
        _ handle: OpaquePointer?, _ name: CallName, _ arguments: Call.Arguments, _ status: UnsafeMutablePointer<baton_status>?
    ) -> baton_code {
        guard let device = LayeredDevice.find(handle) else {
            let words = handle == nil ? "\(name.rawValue) was given no device" : "\(name.rawValue) was given a device that is closed or never was one"
            if let status { DriverError.put(.invalidArgument, words, into: status) }
            return DriverError.Code.invalidArgument.rawValue
        }
        return device.driver.perform(name, on: device, arguments, status)
    }

    private func open(_ options: Call.Options, _ out: Call.Made, _ status: UnsafeMutablePointer<baton_status>?) -> baton_code {
        var opened: OpaquePointer?
        let code = withUnsafeMutablePointer(to: &opened) { perform(.open, on: nil, .open(options, out == nil ? nil : $0), status) }
        if code == 0, let opened { out?.pointee = LayeredDevice.make(self, opened) }
        return code
    }

    // MARK: the tables

    private func addDevice() {
        device.size = inner.device.size
        if inner.device.info != nil { device.info = { LayeredDriver.enter($0, .info, .info($1), $2) } }
        if inner.device.health != nil { device.health = { LayeredDriver.enter($0, .health, .health, $1) } }
        if inner.device.quiesce != nil { device.quiesce = { LayeredDriver.enter($0, .quiesce, .quiesce($1), $2) } }
        if inner.device.close != nil {
            device.close = { handle in
                guard let handle else { return }
                _ = LayeredDriver.enter(handle, .close, .close, nil)
                LayeredDevice.forget(handle)
            }
        }
    }

    private func addBuffer() {
        let has = inner.buffer
        buffer.size = has.size
        if has.allocate != nil { buffer.allocate = { LayeredDriver.enter($0, .allocate, .allocate($1, $2), $3) } }
        if has.import_memory != nil { buffer.import_memory = { LayeredDriver.enter($0, .importMemory, .importMemory($1, $2, $3), $4) } }
        if has.export_memory != nil { buffer.export_memory = { LayeredDriver.enter($0, .exportMemory, .exportMemory($1, $2, $3), $4) } }
        if has.release != nil { buffer.release = { _ = LayeredDriver.enter($0, .releaseBuffer, .releaseBuffer($1), nil) } }
        if has.write != nil { buffer.write = { LayeredDriver.enter($0, .write, .write($1, $2, $3, $4), $5) } }
        if has.read != nil { buffer.read = { LayeredDriver.enter($0, .read, .read($1, $2, $3, $4), $5) } }
        if has.map != nil { buffer.map = { LayeredDriver.enter($0, .map, .map($1, $2, $3), $4) } }
        if has.unmap != nil { buffer.unmap = { _ = LayeredDriver.enter($0, .unmap, .unmap($1), nil) } }
        guard has.copy != nil else { return }
        buffer.copy = { device, to, toOffset, fromDevice, from, fromOffset, length, sync, status in
            let copy = Call.BufferCopy(
                to: to, toOffset: toOffset, fromDevice: fromDevice, from: from, fromOffset: fromOffset, length: length, sync: sync)
            return LayeredDriver.enter(device, .copy, .copy(copy), status)
        }
    }

    private func addProgram() {
        let has = inner.program
        program.size = has.size
        if has.compile != nil { program.compile = { LayeredDriver.enter($0, .compile, .compile($1, $2), $3) } }
        if has.info != nil { program.info = { LayeredDriver.enter($0, .programInfo, .programInfo($1, $2), $3) } }
        if has.release != nil { program.release = { _ = LayeredDriver.enter($0, .releaseProgram, .releaseProgram($1), nil) } }
        if has.submit != nil { program.submit = { LayeredDriver.enter($0, .submit, .submit($1, $2, $3), $4) } }
    }

    private func addTimeline() {
        let has = inner.timeline
        timeline.size = has.size
        if has.create != nil { timeline.create = { LayeredDriver.enter($0, .createTimeline, .createTimeline($1, $2), $3) } }
        if has.release != nil { timeline.release = { _ = LayeredDriver.enter($0, .releaseTimeline, .releaseTimeline($1), nil) } }
        if has.query != nil { timeline.query = { LayeredDriver.enter($0, .query, .query($1, $2, $3), $4) } }
        if has.wait != nil { timeline.wait = { LayeredDriver.enter($0, .wait, .wait($1, $2, $3, $4), $5) } }
        if has.signal != nil { timeline.signal = { LayeredDriver.enter($0, .signal, .signal($1, $2), $3) } }
        if has.fail != nil { timeline.fail = { LayeredDriver.enter($0, .fail, .fail($1, $2), $3) } }
        if has.notify != nil { timeline.notify = { LayeredDriver.enter($0, .notify, .notify($1, $2, $3, $4), $5) } }
    }

    private func addKV() {
        guard let has = inner.kv else { return }
        var table = baton_kv_table()
        table.size = has.size
        if has.create != nil { table.create = { LayeredDriver.enter($0, .kvCreate, .kvCreate($1, $2), $3) } }
        if has.release != nil { table.release = { _ = LayeredDriver.enter($0, .kvRelease, .kvRelease($1), nil) } }
        if has.share != nil { table.share = { LayeredDriver.enter($0, .kvShare, .kvShare($1, $2, $3, $4), $5) } }
        if has.adopt != nil { table.adopt = { LayeredDriver.enter($0, .kvAdopt, .kvAdopt($1, $2, $3, $4), $5) } }
        if has.export_range != nil {
            table.export_range = {
                LayeredDriver.enter($0, .kvExport, .kvExport(Call.KVMove(pool: $1, range: $2, layout: $3, memory: $4, sync: $5)), $6)
            }
        }
        if has.import_range != nil {
            table.import_range = {
                LayeredDriver.enter($0, .kvImport, .kvImport(Call.KVMove(pool: $1, range: $2, layout: $3, memory: $4, sync: $5)), $6)
            }
        }
        if has.copy_blocks != nil { table.copy_blocks = { LayeredDriver.enter($0, .kvCopyBlocks, .kvCopyBlocks($1, $2, $3, $4, $5), $6) } }
        kv = table
    }

    // MARK: functions without a device

    private func addFunctionsWithoutDevice() throws(ForeignError) {
        if inner.describe != nil {
            let function = try closure(3) { driver, a in driver.perform(.describe, on: nil, .describe(a.options, a.at(1)), a.at(2)) }
            describe = unsafeBitCast(function, to: (@convention(c) (UnsafePointer<baton_options>?, UnsafeMutablePointer<baton_device_info>?, UnsafeMutablePointer<baton_status>?) -> baton_code).self)
        }
        if inner.device.open != nil {
            let function = try closure(3) { driver, a in driver.open(a.options, a.at(1), a.at(2)) }
            device.open = unsafeBitCast(function, to: type(of: device.open).self)
        }
        if inner.kv?.layouts != nil, var table = kv {
            let function = try closure(7, numbers: [2, 4]) { driver, a in
                driver.perform(.kvLayouts, on: nil, .kvLayouts(a.options, a.constant(1), a.number(2), a.at(3), a.number(4), a.at(5)), a.at(6))
            }
            table.layouts = unsafeBitCast(function, to: type(of: table.layouts).self)
            kv = table
        }
        try addCost()
    }

    private func addCost() throws(ForeignError) {
        guard let has = inner.cost else { return }
        var table = baton_cost_table()
        table.size = has.size
        if has.estimate != nil {
            let function = try closure(5) { driver, a in
                driver.perform(.estimate, on: nil, .estimate(a.options, a.constant(1), a.constant(2), a.at(3)), a.at(4))
            }
            table.estimate = unsafeBitCast(function, to: type(of: table.estimate).self)
        }
        if has.memory != nil {
            let function = try closure(6, numbers: [3], wide: [2]) { driver, a in
                driver.perform(.memory, on: nil, .memory(a.options, a.constant(1), a.wide(2), a.number(3), a.at(4)), a.at(5))
            }
            table.memory = unsafeBitCast(function, to: type(of: table.memory).self)
        }
        cost = table
    }

    /// A C function of `count` arguments, pointers but for those in `numbers` (32 bits) and `wide` (64), that knows this driver.
    private func closure(
        _ count: Int, numbers: [Int] = [], wide: [Int] = [], _ body: @escaping @Sendable (LayeredDriver, Passed) -> baton_code
    ) throws(ForeignError) -> UnsafeMutableRawPointer {
        let types = (0..<count).map { numbers.contains($0) ? "u32" : wide.contains($0) ? "u64" : "ptr" }
        let made = try ForeignClosure("i32 (\(types.joined(separator: ", ")))") { [unowned self] values in .i32(body(self, Passed(values: values))) }
        closures.append(made)
        return made.pointer
    }

    /// What a function without a device was passed.
    private struct Passed {
        var values: [ForeignValue]
        private func address(_ index: Int) -> UnsafeMutableRawPointer? { if case .pointer(let pointer) = values[index] { pointer } else { nil } }
        var options: Call.Options { constant(0) }
        func constant<T>(_ index: Int) -> UnsafePointer<T>? { address(index).map { UnsafePointer($0.assumingMemoryBound(to: T.self)) } }
        func at<T>(_ index: Int) -> UnsafeMutablePointer<T>? { address(index)?.assumingMemoryBound(to: T.self) }
        func number(_ index: Int) -> UInt32 { if case .u32(let number) = values[index] { number } else { 0 } }
        func wide(_ index: Int) -> UInt64 { if case .u64(let number) = values[index] { number } else { 0 } }
    }
}

/// Where a layer stands.
struct LayerPlace: Sendable {
    var driver: String
    var device: String
    var logger: Logger
    /// Sends a signal to the process of an isolated driver, and waits until it has ended if that is asked for; nil for a driver of this process.
    var signal: (@Sendable (Int32, _ waits: Bool) -> Void)?
    /// Whether the driver itself is the next, and no other layer.
    var isInnermost = true
}
