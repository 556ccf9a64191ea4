#if canImport(Glibc)
@_exported import Glibc
#elseif canImport(Musl)
@_exported import Musl
#elseif canImport(Darwin)
@_exported import Darwin
#endif
#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

func readText(_ path: String) throws -> String {
    guard let file = fopen(path, "r") else { throw BenchProblem(message: "\(path) cannot be read (\(String(cString: strerror(errno))))") }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while case let count = fread(&piece, 1, piece.count, file), count > 0 { bytes += piece[..<count] }
    return String(decoding: bytes, as: UTF8.self)
}

func writeText(_ text: String, to path: String) throws {
    do { try Data(text.utf8).write(to: URL(filePath: path)) } catch { throw BenchProblem(message: "\(path) cannot be written (\(error))") }
}

/// A directory of this run, which goes when it ends.
final class Scratch {
    let path: String
    private var count = 0

    init() throws {
        var template = Array((FileManager.default.temporaryDirectory.path + "/mcpagg-bench-XXXXXX").utf8CString)
        guard let made = mkdtemp(&template) else { throw BenchProblem(message: "no directory for the run can be made") }
        path = String(cString: made)
    }

    /// A name in it that nobody else has.
    func next(_ name: String) -> String {
        count += 1
        return "\(path)/\(count)-\(name)"
    }

    func directory(_ name: String) throws -> String {
        let made = next(name)
        try FileManager.default.createDirectory(atPath: made, withIntermediateDirectories: true)
        return made
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

func isExecutable(_ path: String) -> Bool { access(path, X_OK) == 0 }

/// The directory of the program that runs, where the programs in C are, too.
func directoryOfProgram() -> String {
    let path = readLink("/proc/self/exe")
    return (path.isEmpty ? CommandLine.arguments[0] : path).split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(
        separator: "/")
}

extension Double {
    /// With three digits that mean something, as far as there are so many.
    var short: String {
        let places = abs(self) >= 100 ? 0 : abs(self) >= 10 ? 1 : 2
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        let scaled = (self * scale).rounded()
        guard places > 0, scaled.isFinite else { return scaled.isFinite ? "\(Int(scaled))" : "\(self)" }
        let whole = Int(abs(scaled)), digits = String(whole % Int(scale))
        let sign = scaled < 0 ? "-" : ""
        return "\(sign)\(whole / Int(scale)).\(String(repeating: "0", count: places - digits.count))\(digits)"
    }
}

extension String {
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}

/// "" if it leads nowhere.
func readLink(_ path: String) -> String {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink(path, &bytes, bytes.count - 1)
    return count > 0 ? String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : ""
}
