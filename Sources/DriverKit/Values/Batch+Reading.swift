import CDriver

extension Batch {
    /// Copies and proves a batch for a program. INVALID_ARGUMENT for an index outside its range; OUT_OF_RANGE past the program's largest shape.
    init(_ raw: UnsafePointer<baton_batch>?, for program: ProgramDescription) throws(DriverFailure) {
        let batch = try baton_batch.read(raw, "the batch")
        try Self.checkCounts(batch, program)
        tag = batch.tag
        sequenceCount = Int(batch.sequence_count)
        positions = try Self.copy(batch.positions, Int(batch.token_count), "positions")
        sequences = try Self.copy(batch.sequences, Int(batch.token_count), "sequences")
        rows = try Self.copy(batch.rows, Int(batch.row_count), "rows")
        if let bad = rows.first(where: { $0 >= batch.token_count }) { throw .invalid("row \(bad) is wanted of a batch of \(batch.token_count) tokens") }
        try readTokens(batch, program)
        try findRuns(program)
        try readPool(batch, program)
        try readBindings(batch, program)
    }

    private static func checkCounts(_ batch: baton_batch, _ program: ProgramDescription) throws(DriverFailure) {
        guard batch.token_count > 0, batch.sequence_count > 0 else {
            throw .invalid("a batch of \(batch.token_count) tokens in \(batch.sequence_count) sequences; each must be at least 1")
        }
        guard Int(batch.token_count) <= program.maxTokens, Int(batch.sequence_count) <= program.maxSequences else {
            throw DriverFailure(
                .outOfRange, "a batch of \(batch.token_count) tokens in \(batch.sequence_count) sequences; the program takes up to "
                    + "\(program.maxTokens) in \(program.maxSequences)")
        }
        guard batch.row_count <= batch.token_count else { throw .invalid("\(batch.row_count) rows are wanted of \(batch.token_count) tokens") }
    }

    private static func copy(_ pointer: UnsafePointer<UInt32>?, _ count: Int, _ what: String) throws(DriverFailure) -> [UInt32] {
        guard count > 0 else { return [] }
        guard let pointer else { throw .invalid("the batch's \(what) are null and \(count) are stated; pass the array") }
        return Array(UnsafeBufferPointer(start: pointer, count: count))
    }

    private mutating func readTokens(_ batch: baton_batch, _ program: ProgramDescription) throws(DriverFailure) {
        guard let vocabulary = program.vocabulary else { return }
        tokens = try Self.copy(batch.tokens, Int(batch.token_count), "tokens")
        if let bad = tokens.first(where: { Int($0) >= vocabulary }) { throw .invalid("token \(bad) is not in a vocabulary of \(vocabulary)") }
    }

    /// The tokens of a sequence are contiguous, and their positions follow each other.
    private mutating func findRuns(_ program: ProgramDescription) throws(DriverFailure) {
        var seen = [Bool](repeating: false, count: sequenceCount)
        var start = 0
        while start < positions.count {
            let sequence = Int(sequences[start])
            guard sequence < sequenceCount else { throw .invalid("token \(start) is of sequence \(sequence) and the batch has \(sequenceCount)") }
            guard !seen[sequence] else { throw .invalid("the tokens of sequence \(sequence) are not contiguous; keep them together") }
            seen[sequence] = true
            var end = start + 1
            while end < positions.count, sequences[end] == sequences[start] {
                guard Int(positions[end]) == Int(positions[end - 1]) + 1 else {
                    throw .invalid("token \(end) has position \(positions[end]) after \(positions[end - 1]); positions of a sequence follow each other")
                }
                end += 1
            }
            let last = Int(positions[end - 1])
            guard program.maxContext == 0 || last < program.maxContext else {
                throw DriverFailure(.outOfRange, "sequence \(sequence) reaches position \(last); the program takes a context of \(program.maxContext)")
            }
            runs.append(Run(sequence: sequence, tokens: start..<end, firstPosition: Int(positions[start])))
            start = end
        }
    }

    private mutating func readPool(_ batch: baton_batch, _ program: ProgramDescription) throws(DriverFailure) {
        guard program.needsPool else { return }
        guard batch.pool != nil else { throw .invalid("the program has attention and the batch no KV pool; give one") }
        let found = try Find.pool(batch.pool)
        let pool = found.description
        guard pool.kvHeads == program.kvHeads, pool.headDim == program.headDim, pool.firstLayer <= program.firstLayer,
            pool.firstLayer + pool.layers >= program.firstLayer + program.layerCount
        else {
            throw .invalid(
                "a pool of layers \(pool.firstLayer)..<\(pool.firstLayer + pool.layers), \(pool.kvHeads) heads of \(pool.headDim) for a program of layers "
                    + "\(program.firstLayer)..<\(program.firstLayer + program.layerCount), \(program.kvHeads) of \(program.headDim)")
        }
        self.pool = found.implementation
        try readTables(batch, pool)
    }

    private mutating func readTables(_ batch: baton_batch, _ pool: KVPoolDescription) throws(DriverFailure) {
        blockTableStride = Int(batch.block_table_stride)
        let count = blockTableStride * sequenceCount
        guard count <= 1 << 28 else { throw .invalid("block tables of \(count) entries; at most \(1 << 28) can be given") }
        blockTables = try Self.copy(batch.block_tables, count, "block tables")
        for run in runs {
            let reached = (run.firstPosition + run.tokens.count - 1) / pool.blockTokens + 1
            guard reached <= blockTableStride else {
                throw .invalid("sequence \(run.sequence) reaches \(reached) blocks of \(pool.blockTokens) tokens and its block table has \(blockTableStride)")
            }
            let base = run.sequence * blockTableStride
            for index in base..<base + reached where Int(blockTables[index]) >= pool.blockCount {
                throw .invalid("sequence \(run.sequence) uses block \(blockTables[index]) and the pool has \(pool.blockCount)")
            }
        }
    }

    private mutating func readBindings(_ batch: baton_batch, _ program: ProgramDescription) throws(DriverFailure) {
        if let raw = try StridedElements(batch.bindings, count: batch.binding_count, limit: program.tensors.count, "bindings") {
            for index in 0..<raw.count { bindings.append(try binding(raw[index], program)) }
        }
        for index in program.boundTensors {
            let tensor = program.tensors[index]
            guard binding(index) != nil || tensor.elements(tokens: tokenCount, rows: rows.count) == 0 else {
                throw .invalid("tensor '\(tensor.name)' is bound to no buffer; bind every input and output")
            }
        }
    }

    private func binding(_ raw: baton_binding, _ program: ProgramDescription) throws(DriverFailure) -> Binding {
        let index = Int(raw.tensor)
        guard program.tensors.indices.contains(index) else { throw .invalid("tensor \(index) is bound and the program has \(program.tensors.count)") }
        let tensor = program.tensors[index]
        guard tensor.role == .input || tensor.role == .output else { throw .invalid("tensor '\(tensor.name)' is bound and is a \(tensor.role)") }
        guard binding(index) == nil else { throw .invalid("tensor '\(tensor.name)' is bound twice; keep one") }
        let buffer = try Find.buffer(raw.buffer)
        let bytes = UInt64(tensor.elements(tokens: tokenCount, rows: rows.count)) * 4
        let (end, overflow) = raw.offset.addingReportingOverflow(bytes)
        guard raw.offset % 4 == 0, !overflow, end <= UInt64(buffer.length) else {
            throw .invalid("tensor '\(tensor.name)' takes \(bytes) bytes from \(raw.offset) of a buffer of \(buffer.length); offsets are multiples of 4")
        }
        return Binding(tensor: index, buffer: buffer, offset: Int(raw.offset))
    }
}
