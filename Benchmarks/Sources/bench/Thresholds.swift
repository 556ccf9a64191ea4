#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A target, as it stands in `thresholds.json`.
struct Threshold: Codable {
    let target: String
    let figure: String
    /// `ratio`, `added`, or the name of what was measured.
    let number: String
    var atMost: Double?
    var atLeast: Double?

    /// Counted by a command of its own.
    var isOfInstructions: Bool { figure.hasPrefix("instructions.") }

    enum Outcome: String, Encodable {
        case met
        case notMet = "NOT MET"
        case notMeasured = "not measured"
    }

    func outcome(in figures: [Figure]) -> (Double?, Outcome) {
        guard let value = figures.first(where: { $0.name == figure })?.number(number) else { return (nil, .notMeasured) }
        return (value, value <= (atMost ?? .infinity) && value >= (atLeast ?? -.infinity) ? .met : .notMet)
    }

    var limit: String { atMost.map { "≤ \($0.short)" } ?? atLeast.map { "≥ \($0.short)" } ?? "" }
}

struct Verdict: Encodable {
    let target: String
    let figure: String
    let number: String
    let limit: String
    let value: Double?
    let outcome: Threshold.Outcome

    init(_ threshold: Threshold, in figures: [Figure]) {
        (target, figure, number, limit) = (threshold.target, threshold.figure, threshold.number, threshold.limit)
        (value, outcome) = threshold.outcome(in: figures)
    }
}

struct Thresholds: Codable {
    let thresholds: [Threshold]

    static func read(_ path: String) throws -> [Threshold] {
        do {
            return try JSONDecoder().decode(Thresholds.self, from: Data(readText(path).utf8)).thresholds
        } catch let error as DecodingError {
            throw BenchProblem(message: "\(path) is no list of thresholds: \(error)")
        }
    }
}

extension Report {
    /// Prints what became of the targets and writes the file.
    /// - Returns: whether all were met that belong to what was measured.
    func conclude(_ thresholds: [Threshold], isWhole: Bool, json: String?) throws -> Bool {
        let verdicts = thresholds.map { Verdict($0, in: figures) }
        let shown = isWhole ? verdicts : verdicts.filter { $0.outcome != .notMeasured }
        if !shown.isEmpty {
            begin("Targets")
            let width = shown.map(\.target.count).max() ?? 0
            for verdict in shown {
                let value = verdict.value?.short ?? "-"
                show(
                    "  \(verdict.target.padded(to: width))  \(verdict.limit.padded(to: 8))  \(value.padded(to: 8))  \(verdict.outcome.rawValue)"
                )
            }
        }
        if let json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            let text = try encoder.encode(Document(machine: Machine(), figures: figures, targets: verdicts, doubts: doubts))
            try writeText(String(decoding: text, as: UTF8.self) + "\n", to: json)
        }
        return shown.allSatisfy { $0.outcome == .met }
    }

    private struct Document: Encodable {
        let machine: Machine
        let figures: [Figure]
        let targets: [Verdict]
        let doubts: [String]
    }
}
