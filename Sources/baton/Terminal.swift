import Glibc
import Synchronization

/// What a person sees: streams, colour and progress only where a terminal is.
enum Terminal {
    static let isOutputTerminal = isatty(1) == 1
    static let isErrorTerminal = isatty(2) == 1
    private static let usesColour = isErrorTerminal && getenv("NO_COLOR") == nil

    /// Columns of the terminal, 100 where there is none; COLUMNS overrides.
    static var width: Int {
        if let text = getenv("COLUMNS"), let columns = Int(String(cString: text)), (40...400).contains(columns) { return columns }
        var size = winsize()
        guard ioctl(output.load(ordering: .relaxed), UInt(TIOCGWINSZ), &size) == 0, size.ws_col >= 40 else { return 100 }
        return Int(size.ws_col)
    }

    /// Writes text to standard output, at once.
    static func write(_ text: String) {
        send(text, to: 1)
    }

    /// Where this program's output goes.
    private static let output = Atomic<Int32>(1)

    /// Keeps standard output for this program alone: what drivers print goes to standard error, so that no report is spoiled by it.
    static func claimOutput() {
        _ = isOutputTerminal
        let kept = fcntl(1, F_DUPFD_CLOEXEC, 3)
        guard kept >= 0 else { return }
        guard fcntl(2, F_GETFD) >= 0, dup2(2, 1) == 1 else {
            close(kept)
            return
        }
        output.store(kept, ordering: .relaxed)
    }

    /// Gives standard output back, for words that do not come from a command.
    static func releaseOutput() {
        let kept = output.exchange(1, ordering: .relaxed)
        guard kept != 1 else { return }
        fflush(nil)
        dup2(kept, 1)
        close(kept)
    }

    static func line(_ text: String) { write(text + "\n") }

    /// Writes a line to standard error.
    static func note(_ text: String) { send(text + "\n", to: 2) }

    /// All of the text, whatever is interrupted; a reader that has gone away ends the command quietly.
    static func send(_ text: String, to descriptor: Int32) {
        let descriptor = descriptor == 1 ? output.load(ordering: .relaxed) : descriptor
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written > 0 { bytes.removeFirst(written) } else if errno != EINTR { exit(errno == EPIPE ? 0 : 1) }
        }
    }

    static func dim(_ text: String) -> String { usesColour ? "\u{1B}[2m\(text)\u{1B}[0m" : text }

    static func fail(_ failure: Failure) -> Never {
        note((usesColour ? "\u{1B}[31mbaton:\u{1B}[0m " : "baton: ") + failure.words)
        exit(failure.code)
    }
}

/// A bar on standard error while something long goes on; nothing where that is not a terminal. Any thread may report.
final class ProgressBar: Sendable {
    private struct State {
        var shown = ""
        var last: UInt64 = 0
    }
    private let state = Mutex(State())
    private static let width = 28

    func report(_ label: String, _ fraction: Double) {
        guard Terminal.isErrorTerminal else { return }
        let full = Int((min(max(fraction, 0), 1) * Double(Self.width)).rounded())
        let bar = String(repeating: "█", count: full) + String(repeating: "░", count: Self.width - full)
        let line = "\(bar) \(Int(fraction * 100))% \(label)"
        state.withLock { state in
            guard line != state.shown else { return }
            Terminal.send("\r\u{1B}[2K\(line)", to: 2)
            state.shown = line
        }
    }

    func clear() {
        state.withLock { state in
            guard !state.shown.isEmpty else { return }
            Terminal.send("\r\u{1B}[2K", to: 2)
            state.shown = ""
        }
    }
}
