extension Rule {
    /// Every rule, by number. A driver keeps all of them, but for the exceptions it declares.
    public static let all: [Rule] = statuses + drivers + devices + buffers + events + programs + kv + costs + notes

    private static let statuses = [
        Rule(1, "status.h", "A call that fails returns a code of this header and fills the caller's status with one line of words.", Checks.failuresHaveWords),
        Rule(2, "status.h", "A status may be null, or shorter than the struct of these headers; no byte past the size it states is written.", Checks.statusMayBeShort),
    ]

    private static let drivers = [
        Rule(3, "driver.h", "A library exports baton_driver_entry and nothing else.", Checks.oneSymbol),
        Rule(4, "driver.h", "The entry chooses the newest version inside both ranges, and fills in name, ranges and the four tables.", Checks.entryNegotiates),
        Rule(5, "driver.h", "The entry refuses a host that is too old or too new with FAILED_PRECONDITION, its own range filled in.", Checks.entryRefuses),
        Rule(6, "driver.h", "The entry writes no more of `out` than `out->size`, and takes longer structs than it knows.", Checks.entryKeepsToSizes),
        Rule(7, "driver.h", "get_interface gives null for an id or version the driver does not know, and one table for one that it does.", Checks.interfacesAreKnownByName),
        Rule(8, "driver.h", "describe says of a device what the open device says of itself.", Checks.describeIsTheDevice),
        Rule(9, "driver.h", "describe and open refuse an unknown option with INVALID_ARGUMENT and name it; every listed option has a name, a kind and help.", Checks.optionsAreRefused),
    ]

    private static let devices = [
        Rule(10, "device.h", "describe and info write no more of `out` than `out->size`.", Checks.infoKeepsToSize),
        Rule(11, "device.h", "An info is sound: known enumerators, at least one queue, buckets that ascend, kv_dtype among kv_dtypes.", Checks.infoIsSound),
        Rule(12, "device.h", "health of a device that works is OK.", Checks.healthIsOK),
        Rule(13, "device.h", "After quiesce a submit is refused with FAILED_PRECONDITION.", Checks.quiescedRefuses),
        Rule(14, "device.h", "quiesce returns after accepted work has ended, and no callback runs after it.", Checks.quiesceWaits),
        Rule(15, "device.h", "quiesce whose time runs out gives DEADLINE_EXCEEDED and fails what is left with CANCELLED.", Checks.quiesceCancels),
        Rule(16, "device.h", "close frees what was not released, also after work was cut off; close of null does nothing.", Checks.closeFreesAll),
        Rule(17, "device.h", "A driver can be loaded, opened and closed a hundred times.", Checks.hundredCycles),
    ]

    private static let buffers = [
        Rule(18, "buffer.h", "A new buffer is zero, and gives back what was written, at any offset and length.", Checks.buffersHold),
        Rule(19, "buffer.h", "read and write that pass the end of a buffer are refused with OUT_OF_RANGE, also where offset + length overflows.", Checks.buffersHaveEnds),
        Rule(20, "buffer.h", "allocate refuses 0 bytes with INVALID_ARGUMENT, and more than the device has with RESOURCE_EXHAUSTED.", Checks.allocationRefuses),
        Rule(21, "buffer.h", "A device gives out no more than its memory, and what is released can be had again.", Checks.memoryComesBack),
        Rule(22, "buffer.h", "An imported range of host memory reads as its bytes, from its offset.", Checks.importedMemoryIsSeen),
        Rule(23, "buffer.h", "A map shows what write wrote, and read gives what was written through it.", Checks.mapSeesTheBytes),
        Rule(24, "buffer.h", "copy copies exactly its range, queued or not, and refuses one past the end with OUT_OF_RANGE.", Checks.copiesCopy),
        Rule(25, "buffer.h", "Exported memory is the buffer's own bytes.", Checks.exportedMemoryIsTheBuffer),
        Rule(26, "buffer.h", "release of null does nothing, for everything that can be released.", Checks.releaseOfNull),
    ]

    private static let events = [
        Rule(27, "event.h", "A timeline begins at its value and only rises; a signal that is not above it is INVALID_ARGUMENT.", Checks.timelinesRise),
        Rule(28, "event.h", "A wait that runs out gives DEADLINE_EXCEEDED, no sooner than its timeout and not much later.", Checks.waitsEnd),
        Rule(29, "event.h", "A failed timeline gives its reason, code and words, to every wait and query from then on.", Checks.failuresStay),
        Rule(30, "event.h", "A callback runs once: at once where its value is reached already, and also when the timeline fails.", Checks.callbacksComeOnce),
        Rule(31, "event.h", "Events are timed on the device's clock, end no sooner than they start, and are kept for 4,096 values.", Checks.eventsHaveTimes),
        Rule(32, "event.h", "Queued work begins when all its waits are reached, and work of one queue ends in order.", Checks.workWaits),
        Rule(33, "event.h", "Work whose wait fails is not run; its signals fail with ABORTED, and the queue goes on.", Checks.failedWaitsAbort),
        Rule(34, "event.h", "The layer timeline rises by one for each layer, in order, and not before that layer's KV is complete.", Checks.layersComeInOrder),
    ]

    private static let programs = [
        Rule(35, "program.h", "EMBED gives the weight's row of each token, in every weight dtype the device lists.", Checks.embed),
        Rule(36, "program.h", "RMS_NORM divides by the root of the mean square plus epsilon, and multiplies by the weight.", Checks.rmsNorm),
        Rule(37, "program.h", "LINEAR multiplies by the transposed weight and adds the bias, in every weight dtype the device lists.", Checks.linear),
        Rule(38, "program.h", "ROPE turns the first rope_dims of each head by its position, in both styles, and leaves the rest.", Checks.rope),
        Rule(39, "program.h", "ATTENTION is causal over the sequence's KV, grouped by KV head, scaled, capped and windowed as stated.", Checks.attention),
        Rule(40, "program.h", "SWIGLU is gate * sigmoid(gate) * up.", Checks.swiglu),
        Rule(41, "program.h", "ADD adds element by element, or one row to all.", Checks.add),
        Rule(42, "program.h", "MUL multiplies element by element, or all rows by one.", Checks.mul),
        Rule(43, "program.h", "SCALE multiplies by scale.", Checks.scale),
        Rule(44, "program.h", "SOFTCAP is cap * tanh(x / cap).", Checks.softcap),
        Rule(45, "program.h", "SELECT_ROWS gives the batch's rows, in their order.", Checks.selectRows),
        Rule(46, "program.h", "Elements of an array of structs are as far apart as the first one's size says.", Checks.arraysStateTheirStride),
        Rule(47, "program.h", "compile refuses a program that is not sound with INVALID_ARGUMENT.", Checks.wrongProgramsAreRefused),
        Rule(48, "program.h", "submit refuses a token, row, sequence or block outside its range with INVALID_ARGUMENT.", Checks.wrongBatchesAreRefused),
        Rule(49, "program.h", "submit refuses more tokens or sequences than the program was compiled for with OUT_OF_RANGE.", Checks.largeBatchesAreRefused),
        Rule(50, "program.h", "Sequences in one batch give what each gives alone.", Checks.batchesAreTheirParts),
        Rule(51, "program.h", "Which blocks a table names changes no result.", Checks.anyBlocksDo),
        Rule(52, "program.h", "A prompt in chunks gives what the whole prompt gives.", Checks.chunksAreTheWhole),
        Rule(53, "program.h", "submit returns before the device has run the batch.", Checks.submitReturnsAtOnce),
        Rule(54, "program.h", "A queue holds queue_depth submits; one more is refused with RESOURCE_EXHAUSTED.", Checks.fullQueuesRefuse),
        Rule(55, "program.h", "Threads that submit at the same time do not disturb one another.", Checks.threadsDoNotMeet),
        Rule(56, "program.h", "What a batch points to may be reused as soon as submit has returned.", Checks.argumentsAreCopied),
        Rule(57, "program.h", "Opening, compiling, running and releasing again and again takes no more memory, descriptors or threads.", Checks.nothingLeaks),
    ]

    private static let kv = [
        Rule(58, "kv.h", "The blocks of a new pool are zero.", Checks.poolsBeginZero),
        Rule(59, "kv.h", "layouts gives sound layouts, their full count, and no more than there is room for.", Checks.layoutsAreStated),
        Rule(60, "kv.h", "export_range puts every element where the layout says, and zeros past token_count, in every layout listed.", Checks.exportsAreWhereTheySay),
        Rule(61, "kv.h", "What import_range takes, attention sees and export_range gives again, in every layout listed.", Checks.whatComesBackWentOut),
        Rule(62, "kv.h", "A pool adopted from a shared one holds the same KV, now and later.", Checks.adoptedPoolsAreTheSame),
        Rule(63, "kv.h", "copy_blocks copies all layers of each block.", Checks.blocksAreCopied),
        Rule(64, "kv.h", "A range with too little memory is OUT_OF_RANGE; a block or layer outside the pool is INVALID_ARGUMENT.", Checks.rangesHaveEnds),
        Rule(65, "kv.h", "create refuses a pool that does not fit with RESOURCE_EXHAUSTED, and a dtype or block it does not hold with INVALID_ARGUMENT.", Checks.poolsAreRefused),
    ]

    private static let costs = [
        Rule(66, "cost.h", "estimate needs no open device and no weights; more tokens never take less, on the device's clock.", Checks.costsAreEstimated),
        Rule(67, "cost.h", "memory says what describe says is there, and `fits` exactly when the needs sum to no more.", Checks.memoryIsForetold),
    ]

    private static let notes = [
        Rule(68, "note.h", "The note states the range, name and version that the entry states; a library of contract 1.0 alone may have none.", Checks.noteAgrees),
    ]
}
