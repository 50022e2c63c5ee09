/// Where one worker keeps what it computes for itself in a batch of few rows. Plain pointers, valid while the batch runs.
struct OwnRows: @unchecked Sendable {
    /// Row 0 of each tensor as this worker sees it, and where they lie for all.
    private let table: UnsafeMutablePointer<UnsafeMutablePointer<Float>?>
    private let shared: UnsafePointer<UnsafeMutablePointer<Float>?>
    /// What units of .own make, and where in the arena.
    private let made: UnsafeBufferPointer<Workspace.Made>
    private let offsets: UnsafePointer<Int>
    private let arena: UnsafeMutablePointer<Float>

    /// `table` has room for the `count` places of `shared`.
    init(
        _ shared: UnsafePointer<UnsafeMutablePointer<Float>?>, count: Int, table: UnsafeMutablePointer<UnsafeMutablePointer<Float>?>,
        made: UnsafeBufferPointer<Workspace.Made>, offsets: UnsafePointer<Int>, arena: UnsafeMutablePointer<Float>
    ) {
        table.update(from: shared, count: count)
        (self.table, self.shared, self.made, self.offsets, self.arena) = (table, shared, made, offsets, arena)
    }

    var places: RowPlaces { RowPlaces(shared: UnsafePointer(table)) }

    /// What the unit makes lies in the arena, until `leave`.
    func enter(_ unit: Workspace.Unit) {
        for index in unit.made { table[made[index].tensor] = arena + offsets[made[index].tensor] }
    }

    /// Copies what later units read to where all see it. For one worker, in the part after the unit.
    func keep(_ unit: Workspace.Unit, rows: Int) {
        for index in unit.kept {
            let (tensor, columns) = (made[index].tensor, made[index].columns)
            shared[tensor]?.update(from: arena + offsets[tensor], count: rows * columns)
        }
    }

    func leave(_ unit: Workspace.Unit) {
        for index in unit.made { table[made[index].tensor] = shared[made[index].tensor] }
    }
}
