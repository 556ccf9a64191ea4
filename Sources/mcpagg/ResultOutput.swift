import FoundationEssentials
import JSONRPC

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Shows a tool's result to a person: text to standard output, media to files.
struct ResultOutput {
    /// Files named alike that are passed over before we give up.
    private static let nameLimit = 1000

    let tool: String
    let directory: String
    /// What the tool says went wrong is no result.
    let isError: Bool

    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    func show(_ result: JSONView) throws {
        let blocks = result["content"]?.elements ?? []
        for block in blocks { try show(block: block) }
        // A tool may give its data in this form alone.
        if blocks.isEmpty, let structured = result["structuredContent"] { say(structured.jsonText) }
    }

    private func show(block: JSONView) throws {
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

    private func say(_ text: String) {
        var line = text.hasSuffix("\n") ? text : text + "\n"
        // A program gets the text as it is; a terminal must not obey it.
        if Style(descriptor: isError ? StandardError.descriptor : StandardOutput.descriptor).isTerminal {
            line = line.withoutControls(butFor: "\n\t")
        }
        if isError { StandardError.write(line) } else { StandardOutput.write(line) }
    }

    private func save(_ base64: String, type: String?) throws {
        guard let data = Data(base64Encoded: base64) else {
            throw Failure(status: .tool, code: "badResult", message: "the tool answered with media that are not base64")
        }
        let ending = Self.ending(for: type)
        // Never over a file that is there.
        for number in 1...Self.nameLimit {
            let path = "\(directory)/\(tool)-\(number).\(ending)"
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
            if descriptor < 0, errno == EEXIST { continue }
            guard descriptor >= 0, data.withUnsafeBytes({ Self.write($0, to: descriptor) }), close(descriptor) == 0 else {
                throw Failure(
                    status: .unexpected, code: "cannotWrite", message: "\(path): \(String(cString: strerror(errno)))",
                    hint: "name another directory with --output, or get the data with --json")
            }
            return StandardError.write("wrote \(data.count) bytes to \(path)\n")
        }
        throw Failure(status: .unexpected, code: "cannotWrite", message: "\(directory) has \(Self.nameLimit) files of this tool already")
    }

    private static func write(_ bytes: UnsafeRawBufferPointer, to descriptor: CInt) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            #if canImport(Glibc)
            let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            #elseif canImport(Musl)
            let count = Musl.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            #else
            let count = Darwin.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            #endif
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// The type comes from a server: only letters and digits of it get into a file's name.
    private static func ending(for type: String?) -> String {
        let subtype = type?.split(separator: "/").last.map { $0.prefix { $0 != ";" && $0 != "+" } } ?? "bin"
        let safe = subtype.filter { $0.isASCII && ($0.isLetter || $0.isNumber) }
        return switch safe {
        case "": "bin"
        case "jpeg": "jpg"
        case "mpeg": "mp3"
        default: String(safe.prefix(8))
        }
    }
}
