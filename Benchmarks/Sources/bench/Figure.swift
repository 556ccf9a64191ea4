#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// One line of the table.
struct Figure: Encodable {
    /// Stable: thresholds and comparisons over time refer to it.
    let name: String
    let unit: String
    /// By what was measured: the median of its blocks.
    let values: [String: Double]
    /// In which order they are shown.
    let order: [String]
    /// Of mcpagg to what it is held against: the median of the ratios of each round, and their quartiles.
    private(set) var ratio: Double?
    private(set) var ratioQuartiles: [Double]?
    private(set) var ratioTo: String?
    /// The median of the differences of each round, in the unit.
    private(set) var added: Double?

    enum CodingKeys: CodingKey { case name, unit, values, ratio, ratioQuartiles, ratioTo, added }

    /// - Parameters:
    ///   - samples: of each round, in the same order of rounds for all.
    ///   - reference: what `subject` is held against.
    init(_ name: String, _ unit: String, _ samples: [(String, [Double])], of subject: String = "mcpagg", to reference: String? = nil) {
        self.name = name
        self.unit = unit
        order = samples.map(\.0)
        values = Dictionary(uniqueKeysWithValues: samples.map { ($0.0, $0.1.median) })
        guard let own = samples.first(where: { $0.0 == subject })?.1, let other = samples.first(where: { $0.0 == reference })?.1 else {
            return
        }
        let ratios = zip(own, other).filter { $0.1 != 0 }.map { $0.0 / $0.1 }
        guard !ratios.isEmpty else { return }
        ratio = ratios.median
        ratioQuartiles = [ratios.quantile(0.25), ratios.quantile(0.75)]
        ratioTo = reference
        added = zip(own, other).map { $0.0 - $0.1 }.median
    }

    var line: String {
        var line = "  " + name.padded(to: 38)
        line += (order.map { "\($0) \(values[$0, default: 0].short)" }.joined(separator: "  ") + " \(unit)").padded(to: 66)
        if let ratio, let ratioQuartiles, let ratioTo {
            line += " ratio \(ratio.short) (\(ratioQuartiles[0].short) to \(ratioQuartiles[1].short)) to \(ratioTo)"
        }
        return line
    }

    /// What a threshold may refer to: `ratio`, `added`, or the name of what was measured.
    func number(_ name: String) -> Double? {
        switch name {
        case "ratio": ratio
        case "added": added
        default: values[name]
        }
    }
}

/// What the run found, as it goes.
final class Report {
    private(set) var figures: [Figure] = []
    /// What makes a figure doubtful.
    private(set) var doubts: [String] = []

    func begin(_ title: String) { show("\n\(title)") }

    func add(_ figure: Figure) {
        figures.append(figure)
        show(figure.line)
    }

    func doubt(_ text: String) {
        doubts.append(text)
        show("  DOUBTFUL: \(text)")
    }

    func show(_ line: String) {
        print(line)
        fflush(nil)
    }
}

struct Machine: Encodable {
    var cpus: Int
    var model: String
    var kernel: String

    init() {
        let lines = (try? readText("/proc/cpuinfo"))?.split(separator: "\n") ?? []
        cpus = lines.filter { $0.hasPrefix("processor") }.count
        model = lines.first { $0.hasPrefix("model name") }.map { String($0.split(separator: ":")[1].drop { $0 == " " }) } ?? "unknown"
        kernel = (try? readText("/proc/sys/kernel/osrelease"))?.split(separator: "\n").first.map(String.init) ?? "unknown"
    }
}
