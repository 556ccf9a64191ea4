import Foundation
import Testing

/// The built program, told as stories. `UPDATE_TRANSCRIPTS=1` rewrites what hosts must read; look at the difference then.
@Suite(.serialized)
struct TranscriptTests {
    static let directory = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Transcripts")
    /// At least these: a directory that is empty or elsewhere must not pass for success.
    static let fewest = 30

    static var files: [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        return names.filter { $0.hasSuffix(".txt") }.sorted()
    }

    @Test("the stories are there")
    func count() { #expect(Self.files.count >= Self.fewest) }

    @Test("what the host reads is what the transcript says", arguments: files)
    func story(file: String) async throws {
        let path = Self.directory.appending(path: file)
        let transcript = try Transcript(try String(contentsOf: path, encoding: .utf8))
        let isUpdating = ProcessInfo.processInfo.environment["UPDATE_TRANSCRIPTS"] == "1"
        let lines = try await onThread {
            let story = try Story(transcript, isUpdating: isUpdating)
            try story.play()
            return story.lines
        }
        if lines != transcript.lines {
            try lines.joined(separator: "\n").write(to: path, atomically: true, encoding: .utf8)
        }
    }
}

/// Runs what blocks on a thread of its own, because the tests of other suites need those of the pool.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Swift.Result { try body() }) }
    }
}
