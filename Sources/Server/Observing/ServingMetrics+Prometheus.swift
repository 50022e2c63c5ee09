internal import Engine

extension ServingMetrics {
    /// All of it. Times are wall seconds but where the name says `modelled`.
    func write(to text: inout PrometheusText) {
        text.gauge("baton_queue_requests", "Requests that wait", Double(queued))
        text.gauge("baton_running_requests", "Requests that have been admitted and have not ended", Double(running))
        for phase in RequestPhase.allCases {
            text.gauge("baton_requests", "Requests by where they stand", Double(phases[phase] ?? 0), [("phase", phase.rawValue)])
        }
        text.gauge("baton_draining", "1 while the server refuses what is new", isDraining ? 1 : 0)
        text.gauge("baton_uptime_seconds", "Since the engine was opened", seconds(uptime))
        writeOutcomes(to: &text)
        writeTokens(to: &text)
        writeHandoffs(to: &text)
        writeDevices(to: &text)
        write(ttftUser, "baton_ttft_user_seconds", "From arrival to the first token as the user has it", to: &text)
        write(ttftPrefill, "baton_ttft_prefill_seconds", "From arrival to the first token as prefill made it", to: &text)
        write(interToken, "baton_inter_token_seconds", "Between tokens of a stream", to: &text)
        write(queueTime, "baton_queue_seconds", "In the queue", to: &text)
        write(total, "baton_request_seconds", "From arrival to the end", to: &text)
    }

    private func writeOutcomes(to text: inout PrometheusText) {
        let outcomes = [("completed", completed), ("cancelled", cancelled), ("failed", failed), ("refused", refused), ("rejected", rejected)]
        for (outcome, count) in outcomes {
            text.counter("baton_requests_total", "Requests by how they ended", Double(count), [("outcome", outcome)])
        }
        for phase in RequestPhase.allCases {
            text.counter("baton_cancellations_total", "Requests whose client left, by where they stood", Double(cancelledIn[phase] ?? 0), [("phase", phase.rawValue)])
        }
        text.counter("baton_preemptions_total", "Requests that gave their KV to others and were computed again", Double(preempted))
        text.counter("baton_recomputed_total", "Prefills done again on the decode device after a failure", Double(recomputed))
        for way in routed {
            let labels = [("route", way.route.rawValue), ("prefill", way.prefill), ("decode", way.decode)]
            text.counter("baton_route_decisions_total", "Requests by the way they went, and its devices", Double(way.count), labels)
        }
    }

    private func writeTokens(to text: inout PrometheusText) {
        for (kind, count) in [("prefill", prefillTokens), ("decode", decodeTokens)] {
            text.counter("baton_device_tokens_total", "Tokens through the devices", Double(count), [("stage", kind)])
        }
        text.counter("baton_prompt_tokens_total", "Prompt tokens of requests that were completed", Double(promptTokens))
        text.counter("baton_completion_tokens_total", "Tokens made for requests that were completed", Double(completionTokens))
        text.counter("baton_prefix_hit_tokens_total", "Prompt tokens whose KV was there already", Double(prefixHitTokens))
        for pool in kv {
            for (state, blocks) in [("used", pool.used), ("cached", pool.cached), ("quarantined", pool.quarantined), ("total", pool.total)] {
                text.gauge("baton_kv_blocks", "KV blocks of a pool", Double(blocks), [("stage", pool.stage), ("device", pool.device), ("state", state)])
            }
        }
    }

    private func writeHandoffs(to text: inout PrometheusText) {
        text.counter("baton_handoffs_total", "Handoffs that were adopted", Double(handoffs))
        text.counter("baton_handoffs_aborted_total", "Handoffs that were not", Double(handoffsAborted))
        text.counter("baton_handoff_bytes_total", "Bytes of KV that were exported", Double(handoffBytes))
        text.counter("baton_handoff_exposed_seconds_total", "Time of handoffs after prefill had ended", seconds(handoffExposed))
        text.counter("baton_handoff_hidden_seconds_total", "Time of handoffs during prefill", seconds(handoffHidden))
        if let modelled = handoffModelledExposed {
            text.counter("baton_handoff_modelled_exposed_seconds_total", "Modelled time of handoffs after prefill had ended", seconds(modelled))
        }
        if let modelled = handoffModelledHidden {
            text.counter("baton_handoff_modelled_hidden_seconds_total", "Modelled time of handoffs during prefill", seconds(modelled))
        }
    }

    private func writeDevices(to text: inout PrometheusText) {
        for device in busy {
            text.counter("baton_device_busy_seconds_total", "Time in batches", seconds(device.wallNanoseconds), [("device", device.device)])
        }
        for device in busy {
            let share = uptime == 0 ? 0 : Double(device.wallNanoseconds) / Double(uptime)
            text.gauge("baton_device_busy_share", "Part of the uptime spent in batches", share, [("device", device.device)])
        }
        for device in busy {
            guard let modelled = device.modelledNanoseconds else { continue }
            text.counter("baton_device_modelled_busy_seconds_total", "Modelled time in batches", seconds(modelled), [("device", device.device)])
        }
    }

    private func write(_ histogram: Histogram, _ name: String, _ help: String, to text: inout PrometheusText) {
        text.histogram(name, help, bounds: Histogram.bounds, counts: histogram.counts, sum: histogram.sum)
    }

    private func seconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1e9 }
}
