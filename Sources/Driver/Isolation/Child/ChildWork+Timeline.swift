import CDriver
import Glibc
import Synchronization

extension ChildWork {
    func timeline() throws(WireError) -> ChildAnswer {
        let id: UInt64 = try reader.take()
        let device = try handle(id)
        if call == .createTimeline {
            let value: UInt64 = try reader.take()
            let hasPlace = try reader.takeFlag()
            var timeline: OpaquePointer?
            make(tables.timeline.create) { create, status in hasPlace ? create(device, value, &timeline, status) : create(device, value, nil, status) }
            answer.payload.put(answer.code == 0 ? objects.add(.timeline, timeline, on: id) : 0)
            return answer
        }
        let number: UInt64 = try reader.take()
        if call == .releaseTimeline {
            tables.timeline.release?(device, try objects.take(number))
            return answer
        }
        try use(device, id, try handle(number))
        return answer
    }

    private func use(_ device: OpaquePointer?, _ id: UInt64, _ timeline: OpaquePointer?) throws(WireError) {
        var event = baton_event.sized()
        switch call {
        case .query:
            let value: UInt64 = try reader.take()
            make(tables.timeline.query) { $0(device, timeline, value, &event, $1) }
            RemoteEvent.put(event, to: &answer.payload)
        case .wait:
            let (value, timeout): (UInt64, UInt64) = (try reader.take(), try reader.take())
            make(tables.timeline.wait) { $0(device, timeline, value, timeout, &event, $1) }
            RemoteEvent.put(event, to: &answer.payload)
        case .signal:
            let value: UInt64 = try reader.take()
            make(tables.timeline.signal) { $0(device, timeline, value, $1) }
        case .fail:
            let reason = try reader.take(struct: baton_status.self, in: arena)
            make(tables.timeline.fail) { $0(device, timeline, reason, $1) }
        default: try notify(device, id, timeline)
        }
    }

    private func notify(_ device: OpaquePointer?, _ id: UInt64, _ timeline: OpaquePointer?) throws(WireError) {
        let value: UInt64 = try reader.take()
        let hasCallback = try reader.takeFlag()
        let token: UInt64 = try reader.take()
        if hasCallback { objects.expect(callback: token, on: id) }
        // The driver carries the token, not a pointer: one that calls back twice, or too late, is not heard.
        let callback: baton_callback? = hasCallback ? { user, event in
            guard let event, let server = ChildServer.shared.withLock({ $0 }) else { return }
            server.fired(UInt64(UInt(bitPattern: user)), event.pointee)
        } : nil
        let (code, event) = driver.server.registering(token) {
            make(tables.timeline.notify) { $0(device, timeline, value, callback, UnsafeMutableRawPointer(bitPattern: UInt(token)), $1) }
            return answer.code
        }
        if code != 0 { _ = objects.take(callback: token) }
        answer.payload.put(event != nil)
        if let event { RemoteEvent.put(event, to: &answer.payload) }
    }
}
