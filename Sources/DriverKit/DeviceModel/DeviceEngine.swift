/// What computes behind a device model. One replaceable part: the reference today, a vendor's runtime (such as libnrt) where there is silicon.
/// Every call here blocks until it is done; the model's queues call from their own threads.
public protocol DeviceEngine: AnyObject, Sendable {
    func allocate(_ bytes: Int) throws(DriverFailure) -> any BufferImplementation
    func importMemory(_ memory: Memory, access: Access) throws(DriverFailure) -> any BufferImplementation
    /// The program's buffers are of this engine.
    func compile(_ program: ProgramDescription) throws(DriverFailure) -> any ProgramImplementation
    func createPool(_ pool: KVPoolDescription) throws(DriverFailure) -> any PoolImplementation
    /// Runs a batch. `layerDone` hears the program's layers, counted from 0, in order, as their KV is complete.
    func run(_ program: any ProgramImplementation, _ batch: Batch, layerDone: (Int) -> Void) throws(DriverFailure)
    func exportRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, to memory: Memory) throws(DriverFailure)
    func importRange(_ pool: any PoolImplementation, _ range: KVRange, _ layout: KVLayout, from memory: Memory) throws(DriverFailure)
    func copyBlocks(_ pool: any PoolImplementation, _ pairs: [(from: UInt32, to: UInt32)]) throws(DriverFailure)
    func close()
}
