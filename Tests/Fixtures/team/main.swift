// Workers go through batches of parts as Plugins/cpu/Team.swift has them do, some late, some not at all. Every piece must be done once, and after all
// pieces of the part before: cells are plain memory, so the thread sanitizer sees it where they are not. Before each part a worker reads what the
// part before has kept, in one of two slots, as few rows are read by each: whoever gets a piece must have read the right thing. Arguments: seed,
// workers, batches. Prints how many pieces were looked at; status 1 where one was wrong.
import Glibc
import Synchronization

struct Dice: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 29
    }
}

struct Spin: Waiting {
    mutating func wait() {}
}

struct Part {
    var count: Int
    var isShared: Bool
    /// A piece of it takes its time.
    var slow: Int?
}

enum Size { static let most = 300 }

final class Batch: @unchecked Sendable {
    let team: Team
    let parts: [Part]
    /// Microseconds until each worker comes; nil for one that never does.
    let delays: [UInt32?]
    /// How often each piece of each part was done.
    let cells: UnsafeMutablePointer<Int>
    /// Pieces that came before the part in front was over, by worker.
    let wrong: UnsafeMutablePointer<Int>
    /// The last part but one, and the last, that kept something.
    let slots: UnsafeMutablePointer<Atomic<Int>>

    init(_ team: Team, _ dice: inout Dice) {
        self.team = team
        parts = (0..<Int.random(in: 1...40, using: &dice)).map { _ in
            let count = [0, 1, 2, 3, Int.random(in: 1...40, using: &dice), Int.random(in: 1...Size.most, using: &dice)].randomElement(using: &dice) ?? 1
            let slow = Int.random(in: 0..<8, using: &dice) == 0 && count > 0 ? Int.random(in: 0..<count, using: &dice) : nil
            return Part(count: count, isShared: Bool.random(using: &dice), slow: slow)
        }
        delays = (0..<team.workers).map { worker in
            if worker == 0 || Bool.random(using: &dice) { return 0 }
            return Bool.random(using: &dice) ? UInt32.random(in: 0..<2000, using: &dice) : nil
        }
        cells = .allocate(capacity: parts.count * Size.most)
        cells.initialize(repeating: 0, count: parts.count * Size.most)
        wrong = .allocate(capacity: team.workers)
        wrong.initialize(repeating: 0, count: team.workers)
        slots = .allocate(capacity: 2)
        for slot in 0..<2 { (slots + slot).initialize(to: Atomic(-1)) }
    }

    deinit {
        cells.deallocate()
        wrong.deallocate()
        slots.deallocate()
    }

    func go(_ worker: Int) {
        guard let delay = delays[worker] else { return }
        if delay > 0 { usleep(delay) }
        var member = Team.Member(team, worker: worker, waiting: Spin())
        for (index, part) in parts.enumerated() {
            let read = slots[(index + 1) % 2].load(ordering: .relaxed)
            if part.isShared {
                member.share(part.count) { begin, end in for piece in begin..<end { run(piece, of: index, worker, read) } }
            } else {
                member.each(part.count) { run($0, of: index, worker, read) }
            }
        }
    }

    private func run(_ piece: Int, of index: Int, _ worker: Int, _ read: Int) {
        // A part without pieces keeps nothing.
        if read != (parts[..<index].last?.count == 0 ? read : index - 1) { wrong[worker] += 1 }
        if piece == 0 { slots[index % 2].store(index, ordering: .relaxed) }
        if parts[index].slow == piece { usleep(300) }
        if index > 0 {
            for before in 0..<parts[index - 1].count where cells[(index - 1) * Size.most + before] != 1 { wrong[worker] += 1 }
        }
        cells[index * Size.most + piece] += 1
    }

    /// Pieces, and those that were not done once or came too early.
    var found: (pieces: Int, wrong: Int) {
        var (pieces, bad) = (0, (0..<team.workers).reduce(0) { $0 + wrong[$1] })
        for (index, part) in parts.enumerated() {
            pieces += part.count
            for piece in 0..<Size.most where cells[index * Size.most + piece] != (piece < part.count ? 1 : 0) { bad += 1 }
        }
        return (pieces, bad)
    }
}

final class Ticket: Sendable {
    let batch: Batch
    let worker: Int
    init(_ batch: Batch, _ worker: Int) { (self.batch, self.worker) = (batch, worker) }
}

func start(_ batch: Batch, _ worker: Int) -> pthread_t {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(Ticket(batch, worker)).toOpaque()
    pthread_create(&thread, nil, { argument in
        if let argument {
            let ticket = Unmanaged<Ticket>.fromOpaque(argument).takeRetainedValue()
            ticket.batch.go(ticket.worker)
        }
        return nil
    }, argument)
    return thread
}

let arguments = CommandLine.arguments.dropFirst().compactMap { Int($0) }
guard arguments.count == 3 else { exit(2) }
var dice = Dice(state: UInt64(arguments[0]))
let team = Team(workers: arguments[1])
var pieces = 0
for _ in 0..<arguments[2] {
    let batch = Batch(team, &dice)
    team.begin()
    let threads = (1..<max(1, team.workers)).map { start(batch, $0) }
    batch.go(0)
    for thread in threads { pthread_join(thread, nil) }
    guard batch.found.wrong == 0 else {
        print("\(batch.found.wrong) of \(batch.found.pieces) pieces were not done once, or too early")
        exit(1)
    }
    pieces += batch.found.pieces
}
print(pieces)
