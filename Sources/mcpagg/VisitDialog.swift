import JSONRPC

/// Shows a person the address that a server wants visited, and asks whether they agree. Opens nothing: whether the address is to be
/// trusted only the person can say (2025-11-25, client/elicitation, "Safe URL Handling").
struct VisitDialog {
    /// With the name of the server in it.
    let message: String
    let url: String
    let style: Style

    func ask(_ dialog: some Dialog) async -> ElicitationForm.Outcome {
        dialog.say(FormDialog.heading(message, style))
        dialog.say("It wants you to open this address:\n\n    \(url.oneLine)\n\n")
        for line in Self.remarks(on: url) { dialog.say(line.oneLine + "\n") }
        dialog.say("mcpagg opens nothing. If you agree, open it yourself.\ny once that is done, n declines, Ctrl-D cancels.\n")
        while true {
            dialog.say("> ")
            guard let line = await dialog.line()?.trimmed.lowercased() else { return FormDialog.cancelled(dialog) }
            switch line {
            case "y", "yes": return .accept([:])
            case "n", "no", "!decline": return .decline
            case "!cancel": return FormDialog.cancelled(dialog)
            default: dialog.say("write y or n\n")
            }
        }
    }

    /// What the eye passes over.
    static func remarks(on url: String) -> [String] {
        let scheme = url.prefix { $0 != ":" }.lowercased()
        guard let host = host(of: url) else { return ["Careful: this is no address of a web page."] }
        var remarks = ["It leads to \(host)."]
        if scheme != "https" { remarks.append("Careful: it is no https address, so others may read and change what goes there.") }
        if host.contains("xn--") || !host.allSatisfy(\.isASCII) {
            remarks.append("Careful: that name has letters which can look like others.")
        }
        return remarks
    }

    /// The name between `//` and the path, without user and port.
    static func host(of url: String) -> String? {
        guard let slashes = url.firstRange(of: "://") else { return nil }
        guard ["http", "https"].contains(url[..<slashes.lowerBound].lowercased()) else { return nil }
        // Browsers take a backslash for a slash.
        let authority = url[slashes.upperBound...].prefix { !"/?#\\".contains($0) }
        let place = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? authority
        let host = place.hasPrefix("[") ? place.prefix { $0 != "]" } + "]" : place.prefix { $0 != ":" }
        return host.isEmpty ? nil : host.lowercased()
    }
}
