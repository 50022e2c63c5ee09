/// What computes beneath a device model. Calls block until the work has ended and come from the model's own queue threads, so that an
/// engine over real hardware can stand in for the reference without the model changing.
/// Threads: any, several at once. Objects an engine made are given back to that engine alone.
public protocol DeviceEngine: AnyObject, Sendable {
    /// Throws while the engine does not work.
    func health() throws(DriverFailure)
    func allocate(_ bytes: Int) throws(DriverFailure) -> any BufferImplementation
    func importMemory(_ memory: Memory, access: Access) throws(DriverFailure) -> any BufferImplementation
    func copy(
        from source: any BufferImplementation, _ sourceOffset: Int, to target: any BufferImplementation, _ targetOffset: Int, length: Int
    ) throws(DriverFailure)
    func compile(_ program: ProgramDescription) throws(DriverFailure) -> any EngineProgram
    func createPool(_ pool: KVPoolDescription) throws(DriverFailure) -> any EnginePool
    /// Runs one batch. Where not nil, `layerDone` hears of each layer, counted from 0 in the program, once its KV is complete, in order.
    func run(
        _ program: any EngineProgram, _ batch: Batch, pool: (any EnginePool)?, layerDone: ((Int) -> Void)?
    ) throws(DriverFailure)
    func exportRange(_ pool: any EnginePool, _ range: KVRange, _ layout: KVLayout, to memory: Memory) throws(DriverFailure)
    func importRange(_ pool: any EnginePool, _ range: KVRange, _ layout: KVLayout, from memory: Memory) throws(DriverFailure)
    func copyBlocks(_ pool: any EnginePool, _ pairs: [(from: UInt32, to: UInt32)]) throws(DriverFailure)
}

/// A program an engine compiled. Freed when the last reference goes.
public protocol EngineProgram: AnyObject, Sendable {}

/// A KV pool an engine holds. Freed when the last reference goes.
public protocol EnginePool: AnyObject, Sendable {}
