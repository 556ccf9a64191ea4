import FoundationEssentials

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Puts what is no text into files.
struct MediaFiles {
    /// Files named alike that are passed over before we give up.
    private static let nameLimit = 1000

    /// What their names begin with.
    let stem: String
    let directory: String

    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// - Returns: the bytes.
    static func decoded(_ base64: String) throws -> [UInt8] {
        guard let data = Data(base64Encoded: base64) else {
            throw Failure(status: .tool, code: "badResult", message: "the server answered with media that are not base64")
        }
        return Array(data)
    }

    /// Writes a new file and tells of it.
    /// - Parameter type: the media type, as the server says it.
    /// - Returns: the path.
    @discardableResult
    func save(_ base64: String, type: String?) throws -> String {
        let bytes = try Self.decoded(base64)
        let ending = Self.ending(for: type)
        // Never over a file that is there.
        for number in 1...Self.nameLimit {
            let path = "\(directory)/\(stem)-\(number).\(ending)"
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
            if descriptor < 0, errno == EEXIST { continue }
            guard descriptor >= 0, bytes.withUnsafeBytes({ Self.write($0, to: descriptor) }), close(descriptor) == 0 else {
                throw Failure(
                    status: .unexpected, code: "cannotWrite", message: "\(path): \(String(cString: strerror(errno)))",
                    hint: "name another directory with --output, or get the data with --json")
            }
            StandardError.write("wrote \(bytes.count) bytes to \(path)\n")
            return path
        }
        throw Failure(status: .unexpected, code: "cannotWrite", message: "\(directory) has \(Self.nameLimit) files of this name already")
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
        case "", "octetstream": "bin"
        case "plain": "txt"
        case "jpeg": "jpg"
        case "mpeg": "mp3"
        default: String(safe.prefix(8))
        }
    }
}

extension Failure {
    static func noDirectory(_ path: String) -> Failure {
        Failure(status: .usage, code: "badArgument", message: "--output: there is no directory '\(path)'")
    }
}
