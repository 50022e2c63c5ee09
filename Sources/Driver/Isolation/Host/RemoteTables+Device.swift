import CDriver
import CIsolation
import Glibc

extension RemoteTables {
    static func deviceTable(_ functions: cisolation_slot) -> baton_device_table {
        var table = baton_device_table.sized()
        table.open = functions.open
        table.info = { device, out, status in
            Forward.device(.info, device, status) { writer throws(DriverError) in
                writer.put(struct: out.map { UnsafePointer($0) })
            } read: { reply, _ throws(WireError) in
                if let info = try reply.reader.takeDeviceInfo() { Forward.write(info, to: out) }
            }
        }
        table.health = { device, status in Forward.device(.health, device, status) }
        table.quiesce = { device, timeout, status in
            guard let object = RemoteObject.at(device) else { return Forward.device(.quiesce, device, status) }
            var notices: UInt64 = 0
            let seconds = Int(clamping: timeout / 1_000_000_000) / 1 + object.connection.isolation.callDeadline
            let code = Forward.device(.quiesce, device, status, seconds: min(seconds, 1 << 20)) { writer throws(DriverError) in
                writer.put(timeout)
            } read: { reply, _ throws(WireError) in notices = try reply.reader.take() }
            // What the child said before it answered is heard before this returns; after it nothing is.
            object.connection.settle(notices: notices)
            object.connection.dropCallbacks(of: object)
            return code
        }
        table.close = { device in
            guard let object = RemoteObject.at(device), let device else { return }
            object.connection.dropCallbacks(of: object)
            _ = Forward.device(.close, device, nil)
            object.releaseAll()
            Unmanaged<RemoteObject>.fromOpaque(UnsafeRawPointer(device)).release()
        }
        return table
    }

    static func timelineTable() -> baton_timeline_table {
        var table = baton_timeline_table.sized()
        table.create = { device, value, out, status in
            Forward.device(.createTimeline, device, status) { writer throws(DriverError) in
                writer.put(value)
                writer.put(out != nil)
            } read: { reply, object throws(WireError) in
                let id: UInt64 = try reply.reader.take()
                if reply.code == 0 { out?.pointee = RemoteObject(.timeline, id, of: object.connection, on: object).handle() }
            }
        }
        table.release = { device, timeline in RemoteTables.release(.releaseTimeline, device, timeline) }
        table.query = { device, timeline, value, out, status in
            Forward.device(.query, device, status) { writer throws(DriverError) in
                try Forward.id(timeline, beside: device, to: &writer)
                writer.put(value)
            } read: { reply, _ throws(WireError) in try RemoteTables.heard(&reply, timeline, out) }
        }
        table.wait = { device, timeline, value, timeout, out, status in RemoteTables.wait(device, timeline, value, timeout, out, status) }
        table.signal = { device, timeline, value, status in
            Forward.device(.signal, device, status) { writer throws(DriverError) in
                try Forward.id(timeline, beside: device, to: &writer)
                writer.put(value)
            }
        }
        table.fail = { device, timeline, reason, status in
            Forward.device(.fail, device, status) { writer throws(DriverError) in
                try Forward.id(timeline, beside: device, to: &writer)
                writer.put(struct: reason)
            }
        }
        table.notify = { device, timeline, value, callback, user, status in RemoteTables.notify(device, timeline, value, callback, user, status) }
        return table
    }

    /// The event in a reply: host memory that waited for it is filled first.
    private static func heard(_ reply: inout Forward.Reply, _ timeline: OpaquePointer?, _ out: UnsafeMutablePointer<baton_event>?) throws(WireError) {
        let event = try RemoteEvent.take(&reply.reader)
        RemoteObject.at(timeline)?.reached(event)
        if reply.code != DriverError.Code.deadlineExceeded.rawValue, let timeline = RemoteObject.at(timeline) { timeline.connection.finished(on: timeline.id) }
        Forward.write(event, to: out)
    }

    /// A wait in slices of a second: between them is seen whether work that nothing holds up takes too long.
    private static func wait(
        _ device: OpaquePointer?, _ timeline: OpaquePointer?, _ value: UInt64, _ timeout: UInt64, _ out: UnsafeMutablePointer<baton_event>?,
        _ status: UnsafeMutablePointer<baton_status>?
    ) -> baton_code {
        let slice: UInt64 = 1_000_000_000
        var left = timeout
        var waited = 0
        while true {
            let code = Forward.device(.wait, device, status) { writer throws(DriverError) in
                try Forward.id(timeline, beside: device, to: &writer)
                writer.put(value)
                writer.put(min(left, slice))
            } read: { reply, _ throws(WireError) in try heard(&reply, timeline, out) }
            guard code == DriverError.Code.deadlineExceeded.rawValue, left > slice else { return code }
            if left != .max { left -= slice }
            waited += 1
            guard let object = RemoteObject.at(timeline), waited >= object.connection.isolation.workDeadline, object.promises(value) else { continue }
            object.connection.end("work that nothing held up was not done after \(waited) s of waiting")
        }
    }

    private static func notify(
        _ device: OpaquePointer?, _ timeline: OpaquePointer?, _ value: UInt64, _ callback: baton_callback?, _ user: UnsafeMutableRawPointer?,
        _ status: UnsafeMutablePointer<baton_status>?
    ) -> baton_code {
        var token: UInt64 = 0
        var now: baton_event?
        let code = Forward.device(.notify, device, status) { writer throws(DriverError) in
            try Forward.id(timeline, beside: device, to: &writer)
            writer.put(value)
            writer.put(callback != nil)
            guard let callback, let owner = RemoteObject.at(device), let watched = RemoteObject.at(timeline) else { return writer.put(token) }
            token = owner.connection.add(.init(function: callback, user: user, device: owner, timeline: watched))
            writer.put(token)
        } read: { reply, _ throws(WireError) in
            if try reply.reader.takeFlag() { now = try RemoteEvent.take(&reply.reader) }
        }
        guard token != 0, let connection = RemoteObject.at(device)?.connection else { return code }
        if code != 0 { connection.take(callback: token) }
        if var now, let callback = connection.take(callback: token) {
            callback.timeline.reached(now)
            callback.function(callback.user, &now)
        }
        return code
    }

    /// Releases in the child what this device made; a handle that it did not make, and null, do nothing.
    static func release(_ call: ChildCall, _ device: OpaquePointer?, _ handle: OpaquePointer?) {
        guard let owner = RemoteObject.at(device), let object = owner.release(handle) else { return }
        guard !owner.connection.isGone else { return }
        _ = Forward.device(call, device, nil) { writer throws(DriverError) in writer.put(object.id) }
    }
}
