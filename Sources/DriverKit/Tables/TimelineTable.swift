import CDriver

extension DriverKit {
    static func timelineTable() -> baton_timeline_table {
        var table = baton_timeline_table()
        table.size = UInt32(MemoryLayout<baton_timeline_table>.size)
        table.create = { device, value, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let device = try Find.device(device)
                guard let out else { throw .invalid("create has no place for the timeline; pass one") }
                out.pointee = device.make(.timeline, TimelineHandle(Timeline(value: value), device.gate))
            }
        }
        table.release = { device, timeline in
            _ = DriverKit.guarded(nil) { () throws(DriverFailure) in try Find.device(device).release(timeline, .timeline) }
        }
        table.query = { device, timeline, value, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                _ = try Find.device(device)
                let timeline = try Find.timeline(timeline).timeline
                try DriverKit.answer(out, timeline) { () throws(DriverFailure) in try timeline.query(value) }
            }
        }
        table.wait = { device, timeline, value, timeout, out, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                let device = try Find.device(device)
                let timeline = try Find.timeline(timeline).timeline
                guard !device.gate.isInside || timeline.value >= value else {
                    throw DriverFailure(.failedPrecondition, "wait is called inside a callback, which must not block; use notify")
                }
                try DriverKit.answer(out, timeline) { () throws(DriverFailure) in try timeline.wait(value, timeout: timeout) }
            }
        }
        table.signal = { device, timeline, value, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                _ = try Find.device(device)
                try Find.timeline(timeline).timeline.signal(value)
            }
        }
        addFailures(&table)
        return table
    }

    private static func addFailures(_ table: inout baton_timeline_table) {
        table.fail = { device, timeline, reason, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                _ = try Find.device(device)
                let timeline = try Find.timeline(timeline).timeline
                guard let reason, reason.pointee.size >= 8, reason.pointee.code != 0 else {
                    throw .invalid("a timeline is failed without a reason; pass a status whose code is not OK")
                }
                timeline.fail(DriverFailure(reason.pointee.code, reason))
            }
        }
        table.notify = { device, timeline, value, callback, user, status in
            DriverKit.guarded(status) { () throws(DriverFailure) in
                _ = try Find.device(device)
                let found = try Find.timeline(timeline)
                guard let callback else { throw .invalid("notify has no callback; pass one") }
                let call = Callback(function: callback, user: user, gate: found.gate)
                let watched = found.timeline
                watched.notify(value) { [weak watched] result in call.run(result, watched?.value ?? 0) }
            }
        }
    }

    /// Fills `out`, where given, with the event or with the failure, which is thrown on.
    private static func answer(
        _ out: UnsafeMutablePointer<baton_event>?, _ timeline: Timeline, _ ask: () throws(DriverFailure) -> Timeline.Event
    ) throws(DriverFailure) {
        do throws(DriverFailure) {
            let event = try ask()
            if let out { contract(.success(event), 0).write(to: out) }
        } catch {
            if let out { contract(.failure(error), timeline.value).write(to: out) }
            throw error
        }
    }

    static func contract(_ result: Result<Timeline.Event, DriverFailure>, _ value: UInt64) -> baton_event {
        var raw = baton_event.sized()
        raw.clock = Clock.wall.raw
        raw.value = value
        switch result {
        case .success(let event):
            raw.value = event.value
            raw.clock = event.times.clock.raw
            raw.start_ns = event.times.start
            raw.end_ns = event.times.end
        case .failure(let failure): raw.code = failure.code.rawValue
        }
        return raw
    }
}

/// A callback of the host, which runs once unless the device is quiesced first.
private struct Callback: @unchecked Sendable {
    var function: baton_callback
    var user: UnsafeMutableRawPointer?
    var gate: CallbackGate

    func run(_ result: Result<Timeline.Event, DriverFailure>, _ value: UInt64) {
        Callbacks.run(gate) {
            var event = DriverKit.contract(result, value)
            function(user, &event)
        }
    }
}
