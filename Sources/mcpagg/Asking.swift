import Aggregation
import ArgumentParser
import JSONRPC
import Lifecycle
import MCPProtocol
import NIOCore

/// How a command deals with what servers ask back while they work for it.
struct AskingOptions: ParsableArguments {
    @Flag(help: "Answer forms of servers with their defaults, without asking; decline those that lack one.")
    var acceptDefaults = false

    var asking: Asking { Asking(acceptsDefaults: acceptDefaults) }
}

/// Answers what servers ask the person: by asking on the terminal, with the defaults of a form, or not at all.
struct Asking: Sendable {
    /// How often in a row one request may be refused for addresses to be visited first.
    private static let visitLimit = 8

    let acceptsDefaults: Bool

    /// Sends a request. If it is refused until an address was visited (2025-11-25, client/elicitation, "URL Elicitation Required
    /// Error"), the person is asked to, and it is sent again.
    /// - Parameter server: who will answer it, as far as it is known.
    func request(_ method: Method, params: ByteBuffer, to host: LocalHost, server: String?) async throws -> Message {
        var answer = try await host.request(method, params: params)
        for _ in 0..<Self.visitLimit {
            guard answer.isError, answer.errorSummary.code == ErrorCode.urlElicitationRequired.rawValue else { break }
            let elicitations = answer.view(answer[.error])["data"]?["elicitations"]?.elements ?? []
            guard !elicitations.isEmpty else { break }
            for elicitation in elicitations {
                let outcome = await visit(server.map { JSONView.whole(EraBridge.labelled(elicitation, of: .elicit, $0)) } ?? elicitation)
                try Task.checkCancellation()
                guard case .accept = outcome else { return answer }
            }
            answer = try await host.request(method, params: params)
        }
        return answer
    }

    /// - Parameter params: of an `elicitation/create`.
    /// - Returns: JSON text of its result.
    func answer(_ params: JSONView) async -> ByteBuffer {
        switch params["mode"]?.string ?? "form" {
        case "form":
            let form = ElicitationForm(schema: params["requestedSchema"])
            return form.result(await fill(form, message: params["message"]?.string ?? ""))
        case "url":
            let outcome = await visit(params)
            let action = outcome == .decline ? "decline" : outcome == .cancel ? "cancel" : "accept"
            return JSONWriter.object { $0.member("action", action) }
        default: return JSONWriter.object { $0.member("action", "decline") }
        }
    }

    private func fill(_ form: ElicitationForm, message: String) async -> ElicitationForm.Outcome {
        if acceptsDefaults {
            let undecided = form.undecided
            guard undecided.isEmpty else {
                let names = undecided.map { "'\($0)'" }.joined(separator: ", ")
                Self.tell(
                    "a form was declined, because it needs \(names), for which it has no default: \(message.oneLine)",
                    hint: "without --accept-defaults you are asked, if there is a terminal")
                return .decline
            }
            StandardError.write("answered with the defaults: \(message.oneLine)\n")
            return .accept(form.defaults)
        }
        guard let terminal = PersonTerminal.open() else {
            Self.tell(
                "a form was declined, because there is no terminal to ask on: \(message.oneLine)",
                hint: "--accept-defaults answers forms with their defaults")
            return .decline
        }
        return await FormDialog(message: message, form: form, style: terminal.style).fill(terminal)
    }

    /// - Parameter elicitation: with the name of its server in the message.
    private func visit(_ elicitation: JSONView) async -> ElicitationForm.Outcome {
        let message = elicitation["message"]?.string ?? ""
        guard !acceptsDefaults, let terminal = PersonTerminal.open() else {
            // Not the address: it may hold what is nobody else's business, and this may be a log.
            let reason = acceptsDefaults ? "--accept-defaults never agrees to that" : "there is no terminal to ask on"
            Self.tell(
                "to visit an address was declined, because \(reason): \(message.oneLine)",
                hint: "run it on a terminal\(acceptsDefaults ? " without --accept-defaults" : ""), to be shown the address")
            return .decline
        }
        return await VisitDialog(message: message, url: elicitation["url"]?.string ?? "", style: terminal.style).ask(terminal)
    }

    private static func tell(_ text: String, hint: String) {
        Failure(status: .tool, code: "declined", message: text, hint: hint).warn()
    }
}
