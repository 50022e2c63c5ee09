import Glibc
import Synchronization

/// What a person sees: streams, colour and progress only where a terminal is.
enum Terminal {
    static let isOutputTerminal = isatty(1) == 1
    static let isErrorTerminal = isatty(2) == 1
    private static let usesColour = isErrorTerminal && getenv("NO_COLOR") == nil

    /// Writes text to standard output, at once.
    static func write(_ text: String) {
        send(text, to: 1)
    }

    static func line(_ text: String) { write(text + "\n") }

    /// Writes a line to standard error.
    static func note(_ text: String) { send(text + "\n", to: 2) }

    /// All of the text, whatever is interrupted; a reader that has gone away ends the command quietly.
    static func send(_ text: String, to descriptor: Int32) {
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
