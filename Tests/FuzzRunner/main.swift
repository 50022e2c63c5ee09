import Fuzz
import Glibc

// Runs one target on seeded inputs, in a process of its own with bounded memory and time:
//   baton-fuzz TARGET COUNT SEED KEPT [FILE...]   each FILE is a further seed; the input at hand is in the file KEPT, which goes at the end
//   baton-fuzz corpus TARGET FOLDER [FILE...]     writes the seeds as files, for libFuzzer
func read(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    return Array(bytes.prefix(fread(&bytes, 1, bytes.count, file)))
}

func fail(_ words: String) -> Never {
    let line = Array("baton-fuzz: \(words)\n".utf8)
    _ = write(2, line, line.count)
    exit(64)
}

let arguments = Array(CommandLine.arguments.dropFirst())
guard arguments.count >= 3 else { fail("TARGET COUNT SEED KEPT [FILE...], or corpus TARGET FOLDER [FILE...]") }

if arguments[0] == "corpus" {
    guard let target = FuzzTarget(rawValue: arguments[1]) else { fail("there is no target \(arguments[1])") }
    for (index, bytes) in (target.seeds + arguments.dropFirst(3).map(read)).enumerated() {
        guard let file = fopen("\(arguments[2])/seed-\(index)", "w") else { fail("\(arguments[2]) cannot be written") }
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }
} else {
    guard let target = FuzzTarget(rawValue: arguments[0]), let count = Int(arguments[1]), let seed = UInt64(arguments[2]), arguments.count >= 4 else {
        fail("the targets are \(FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")); COUNT and SEED are numbers")
    }
    var memory = rlimit(rlim_cur: 2 << 30, rlim_max: 2 << 30)
    setrlimit(__rlimit_resource_t(9) /* RLIMIT_AS */, &memory)
    alarm(300)
    let kept = open(arguments[3], O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard kept >= 0 else { fail("\(arguments[3]) cannot be written") }
    var mutator = Mutator(seed: seed, seeds: target.seeds + arguments.dropFirst(4).map(read), words: target.words)
    for bytes in target.seeds { target.run(bytes) }
    for _ in 0..<count {
        let bytes = mutator.next()
        ftruncate(kept, 0)
        pwrite(kept, bytes, bytes.count, 0)
        target.run(bytes)
    }
    unlink(arguments[3])
    print("\(target.rawValue): \(count) inputs, \(peakKilobytes() / 1_024) MiB at most")
}

/// The most memory this program has had; getrusage would count what its parent had before it became this program.
func peakKilobytes() -> Int {
    guard let file = fopen("/proc/self/status", "r") else { return .max }
    defer { fclose(file) }
    var bytes = [CChar](repeating: 0, count: 8_192)
    let count = fread(&bytes, 1, bytes.count - 1, file)
    let text = String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let line = text.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return line?.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) } ?? .max
}
