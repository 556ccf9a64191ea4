import JSONRPC

/// Shows what a server answered to a person: text on standard output, media in files.
struct ResultOutput {
    let files: MediaFiles
    /// What a tool says went wrong is no result.
    let isError: Bool
    /// Where media are written is said among the text.
    var namesFiles = false

    func show(_ result: JSONView) throws {
        let blocks = result["content"]?.elements ?? []
        for block in blocks { try show(block: block) }
        // A tool may give its data in this form alone.
        if blocks.isEmpty, let structured = result["structuredContent"] { say(structured.jsonText) }
    }

    func show(block: JSONView) throws {
        switch block["type"]?.string {
        case "text": say(block["text"]?.string ?? "")
        case "image", "audio": try save(block["data"]?.string ?? "", type: block["mimeType"]?.string)
        case "resource":
            let resource = block["resource"]
            if let text = resource?["text"]?.string {
                say(text)
            } else {
                try save(resource?["blob"]?.string ?? "", type: resource?["mimeType"]?.string)
            }
        case "resource_link": say(block["uri"]?.string ?? block.jsonText)
        default: say(block.jsonText)
        }
    }

    private func save(_ base64: String, type: String?) throws {
        let path = try files.save(base64, type: type)
        if namesFiles { say("(\(type ?? "binary"): \(path))") }
    }

    func say(_ text: String) {
        var line = text.hasSuffix("\n") ? text : text + "\n"
        // A program gets the text as it is; a terminal must not obey it.
        if Style(descriptor: isError ? StandardError.descriptor : StandardOutput.descriptor).isTerminal {
            line = line.withoutControls(butFor: "\n\t")
        }
        if isError { StandardError.write(line) } else { StandardOutput.write(line) }
    }
}
